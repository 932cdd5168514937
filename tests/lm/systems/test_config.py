"""The configuration of the systems report."""

import pytest

from lm.errors import ConfigurationError
from lm.systems.config import SystemsConfig


def test_refuses_by_name():
    with pytest.raises(ConfigurationError, match=r"systems_report.preset: .*did you mean 'tiny_cpu'"):
        SystemsConfig(preset="tiny_cpus")
    with pytest.raises(ConfigurationError, match="contexts and sizes_mb, expected at least one of each"):
        SystemsConfig(contexts=())
