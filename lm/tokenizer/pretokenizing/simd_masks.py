"""Vector comparisons of 64 bytes: one bit a byte, for the block scanner.

LLVM splits a comparison where the processor's vectors are narrower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

LANES = 64
_BYTE, _WORD = ir.IntType(8), ir.IntType(64)
_VECTOR = ir.VectorType(_BYTE, LANES)


def _every(byte: int) -> ir.Constant:
    return ir.Constant(_VECTOR, [byte] * LANES)


def _mask(compare: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Return an intrinsic that loads 64 bytes from an address and sets the bits of those for which `compare` holds."""

    def typed(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = builder.inttoptr(arguments[0], _VECTOR.as_pointer())
            return builder.bitcast(compare(builder, builder.load(place, align=1)), _WORD)

        return types.uint64(types.intp), generate

    return typed


def _is_letter(builder: Any, text: Any) -> Any:
    folded = builder.or_(text, _every(0x20))
    return builder.icmp_unsigned("<", builder.sub(folded, _every(ord("a"))), _every(26))


def _is_lower(builder: Any, text: Any) -> Any:
    return builder.icmp_unsigned("<", builder.sub(text, _every(ord("a"))), _every(26))


def _is_digit(builder: Any, text: Any) -> Any:
    return builder.icmp_unsigned("<", builder.sub(text, _every(ord("0"))), _every(10))


def _is_control_space(builder: Any, text: Any) -> Any:
    return builder.icmp_unsigned("<", builder.sub(text, _every(ord("\t"))), _every(5))


def _equals(byte: str) -> Callable[[Any, Any], Any]:
    return lambda builder, text: builder.icmp_unsigned("==", text, _every(ord(byte)))


def _is_wide(builder: Any, text: Any) -> Any:
    return builder.icmp_unsigned(">=", text, _every(0x80))


def _is_continuation(builder: Any, text: Any) -> Any:
    return builder.icmp_signed("<", text, _every(0xC0))


letters: Any = intrinsic(_mask(_is_letter))
lowers: Any = intrinsic(_mask(_is_lower))
digits: Any = intrinsic(_mask(_is_digit))
control_spaces: Any = intrinsic(_mask(_is_control_space))
blanks: Any = intrinsic(_mask(_equals(" ")))
apostrophes: Any = intrinsic(_mask(_equals("'")))
wide: Any = intrinsic(_mask(_is_wide))
continuations: Any = intrinsic(_mask(_is_continuation))


def _lowest_bit(typing_context: Any, word: Any) -> Any:
    """Emit the position of the lowest bit that is set; 64 where none is."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.intp(types.uint64), generate


def _highest_bit(typing_context: Any, word: Any) -> Any:
    """Emit the position of the highest bit that is set; one must be."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.sub(ir.Constant(_WORD, 63), builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0)))

    return types.intp(types.uint64), generate


def _num_bits(typing_context: Any, word: Any) -> Any:
    """Emit the number of bits that are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.intp(types.uint64), generate


lowest_bit: Any = intrinsic(_lowest_bit)
highest_bit: Any = intrinsic(_highest_bit)
num_bits: Any = intrinsic(_num_bits)
