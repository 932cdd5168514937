import json

import pytest
import torch

from lm.errors import InputError, IntegrityError
from lm.model import TransformerLM, load_model, preset, save_model
from lm.storage import publish


@pytest.mark.parametrize("tied", [False, True])
def test_a_saved_model_is_the_same_model_and_the_same_bytes(tmp_path, tied):
    torch.manual_seed(0)
    model = TransformerLM(preset("test", tie_embeddings=tied))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_model(tmp_path / name, model, "digest-1")
    loaded, digest = load_model(tmp_path / "a")
    ids = torch.randint(128, (2, 9))
    assert digest == "digest-1" and loaded.config == model.config
    assert torch.equal(loaded(ids), model(ids))
    for name in ("model.safetensors", "model.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_artifact_is_verified(tmp_path):
    with publish(tmp_path / "m", kind="model", config={}, inputs={}, code="x") as publication:
        save_model(publication.path, TransformerLM(preset("test")), "d")
    artifact = publication.artifact
    load_model(artifact)
    path = artifact.folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="sha256"):
        load_model(artifact)


def test_wrong_tokenizer_and_wrong_shape_are_named(tmp_path):
    save_model(tmp_path, TransformerLM(preset("test")), "d")
    with pytest.raises(InputError, match="trained on tokenizer d, expected e"):
        load_model(tmp_path, tokenizer_digest="e")
    shape = json.loads((tmp_path / "model.json").read_bytes())
    shape["config"]["d_ff"] = 64
    (tmp_path / "model.json").write_text(json.dumps(shape))
    with pytest.raises(InputError, match=r"'layers.0.ffn.w1.weight' is \[128, 32\], expected \[64, 32\]"):
        load_model(tmp_path)


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"model\.json: no such file"):
        load_model(tmp_path)
    save_model(tmp_path, TransformerLM(preset("test")), "d")
    (tmp_path / "model.json").write_text("[]")
    with pytest.raises(InputError, match="not a model description"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"config": 5, "tokenizer_digest": "d"}, "model.json: not a model description, expected an object 'config'"),
        ({"config": {}, "tokenizer_digest": 7}, "and a text 'tokenizer_digest'"),
        ({"config": {"vocab_siz": 5}, "tokenizer_digest": "d"}, "model.json: config: unknown key 'vocab_siz'"),
    ],
)
def test_a_description_that_is_none_is_named(tmp_path, shape, message):
    save_model(tmp_path, TransformerLM(preset("test")), "d")
    (tmp_path / "model.json").write_text(json.dumps(shape))
    with pytest.raises(InputError, match=message):
        load_model(tmp_path)


def test_an_impossible_shape_names_its_file(tmp_path):
    save_model(tmp_path, TransformerLM(preset("test")), "d")
    shape = json.loads((tmp_path / "model.json").read_bytes())
    shape["config"]["num_heads"] = 5
    (tmp_path / "model.json").write_text(json.dumps(shape))
    with pytest.raises(InputError, match=r"model\.json: model\.num_kv_heads: 2 does not divide num_heads = 5"):
        load_model(tmp_path)
