"""Whole fastText files pass the walk, dense and quantized; anything cut, grown or changed in its counts does not."""

import struct

import pytest

from lm.errors import InputError
from pipelines.classifiers.fasttext_training import zeroed_allocations
from pipelines.classifiers.model_file import check_model_file

fasttext = pytest.importorskip("fasttext")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Paths of a dense and of a quantized model with pruned words and norms."""
    folder = tmp_path_factory.mktemp("models")
    lines = [f"__label__{'yes' if i % 2 else 'no'} word{i % 700} other{i % 900} {i}" for i in range(3_000)]
    (folder / "train.txt").write_text("\n".join(lines) + "\n")
    options = {"dim": 4, "epoch": 1, "wordNgrams": 2, "bucket": 2_000, "thread": 1, "minn": 2, "maxn": 3, "verbose": 0}
    with zeroed_allocations():
        model = fasttext.train_supervised(input=str(folder / "train.txt"), **options)
    model.save_model(str(folder / "dense.bin"))
    model.quantize(cutoff=1_000, qnorm=True, qout=False, dsub=2, verbose=0)
    model.save_model(str(folder / "quantized.ftz"))
    return [folder / "dense.bin", folder / "quantized.ftz"]


@pytest.mark.parametrize("which", [0, 1])
def test_whole_files_pass(models, which):
    check_model_file(models[which])


@pytest.mark.parametrize("which", [0, 1])
def test_every_cut_is_found(models, which, tmp_path):
    whole = models[which].read_bytes()
    cut = tmp_path / "cut.bin"
    for size in (0, 5, 8, 40, 64, 90, 1_000, len(whole) // 2, len(whole) - 100, len(whole) - 1):
        cut.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.bin"):
            check_model_file(cut)


def test_a_byte_too_many_is_found(models, tmp_path):
    grown = tmp_path / "grown.bin"
    grown.write_bytes(models[0].read_bytes() + b"\0")
    size = models[0].stat().st_size
    with pytest.raises(InputError, match=f"{size + 1:,} bytes, expected {size:,}"):
        check_model_file(grown)


@pytest.mark.parametrize("count", [-1, 0, 3, 2**31 - 1])
def test_impossible_counts_are_found_at_once(models, tmp_path, count):
    changed = bytearray(models[0].read_bytes())
    struct.pack_into("<i", changed, 8 + 56, count)
    path = tmp_path / "changed.bin"
    path.write_bytes(changed)
    with pytest.raises(InputError, match="contradicts itself"):
        check_model_file(path)
