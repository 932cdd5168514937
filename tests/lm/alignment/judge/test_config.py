"""Keys and credentials are refused without being repeated; an endpoint that is not named is."""

import pytest

from lm.alignment.config import PairsConfig
from lm.alignment.judge.config import JudgeConfig
from lm.configuration import from_mapping, to_mapping
from lm.errors import ConfigurationError

GIVEN = {"base_url": "http://127.0.0.1:1/v1/", "model": "m"}


def test_the_address_of_chat_completions():
    assert JudgeConfig(**GIVEN).url == "http://127.0.0.1:1/v1/chat/completions"


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("api_key_variable", "sk-secret-123", False), ("api_key_variable", "secret", False),
        ("api_key_variable", "secret key", False), ("base_url", "https://user:secret@host/v1", False),
        ("base_url", "https://host/v1?key=secret", False), ("base_url", "https://[secret/v1", False),
        ("base_url", "https://host:secret/v1", False), ("base_url", "ftp://host/v1", True),
        ("base_url", "host/v1", True), ("base_url", "http://", True), ("base_url", "http://a b", True),
    ],
)  # fmt: skip
def test_a_secret_in_the_configuration_is_refused_and_not_repeated(field, value, shown):
    with pytest.raises(ConfigurationError, match=rf"judge\.{field}: ") as caught:
        JudgeConfig(**{**GIVEN, field: value})
    assert "secret" not in str(caught.value) and (value in str(caught.value)) == shown


@pytest.mark.parametrize("missing", GIVEN)
def test_pairs_by_a_judge_need_an_endpoint(missing):
    given = {name: value for name, value in GIVEN.items() if name != missing}
    with pytest.raises(ConfigurationError, match=rf"judge\.{missing}: empty"):
        from_mapping(PairsConfig, {"source": "judge", "judge": given})
    config = from_mapping(PairsConfig, {"source": "judge", "judge": GIVEN})
    assert from_mapping(PairsConfig, to_mapping(config)) == config


def test_a_verifier_takes_problems():
    with pytest.raises(ConfigurationError, match="prompts: instructions with source verifier"):
        PairsConfig(prompts="instructions")
