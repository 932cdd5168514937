"""The settings of a curation: one YAML file with a section a step, pinned to its corpus.

    language: {languages: [en, de], threshold: 0.5}
    harmful: {judge: none}
    dedup: {repeated_lines: keep_first}

Assets, sensors and `python -m pipelines.curation` use `curation.yaml` in the home folder. A step without a section has
its defaults. Documents curated with different settings are merged only on request.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml

from lm.configuration import Doc, from_mapping, to_mapping
from lm.errors import AbsentError, ConfigurationError, InputError
from lm.local_store import replace_file
from lm.locations import is_remote
from lm.storage import Artifact
from lm.store_access import request
from pipelines.curation.steps import CURATION
from pipelines.decontamination.items import EvaluationSet
from pipelines.documents.view import chain
from pipelines.sources.added_documents import DocumentSource

FILE_NAME = "curation.yaml"
C = TypeVar("C")


@dataclass(frozen=True, kw_only=True)
class EvaluationSources:
    """The evaluation sets whose texts are removed from the corpus."""

    alignment_heldout: Annotated[bool, Doc("Include the held-out prompts of the alignment data.")] = True
    sets: Annotated[tuple[EvaluationSet, ...], Doc("Further evaluation sets, as JSON Lines files.")] = ()


@dataclass(frozen=True, kw_only=True)
class AddedSources:
    """Collections of documents that join the crawl."""

    sources: Annotated[
        tuple[DocumentSource, ...],
        Doc("JSON Lines or Parquet files, each a source with its own weight in the training mixture."),
    ] = ()


def evaluation_sets(config: EvaluationSources, alignment_data: Artifact | None) -> list[EvaluationSet]:
    """Return the evaluation sets: the held-out prompts of the alignment data, where wanted and made, and `sets`."""
    prompts = []
    if config.alignment_heldout and alignment_data is not None:
        prompts = [
            EvaluationSet(
                name=Path(name).stem, path=str(alignment_data.file(name)), fields=("prompt",), split="heldout"
            )
            for name in sorted(alignment_data.files)
        ]
    return [*prompts, *config.sets]


_SECTIONS: dict[str, type] = {
    **{step.stage: step.config for step in CURATION},
    "evaluation_items": EvaluationSources,
    "added_documents": AddedSources,
}

Settings: Any = dataclasses.make_dataclass(
    "Settings",
    [(name, cls, field(default_factory=cls)) for name, cls in _SECTIONS.items()],
    frozen=True,
    kw_only=True,
)
"""The configuration of every step, by the name of its stage, and of the evaluation items and added documents."""
Settings.__module__ = __name__  # so that it can be pickled


def read_settings(path: Path) -> Any:
    """Return the settings in a YAML file; missing sections and fields have their defaults.

    Raises:
        AbsentError: no such file.
        InputError: not YAML, or not a mapping.
        ConfigurationError: an unknown section or field, or a value out of its range.
    """
    found = _read(path)
    if found is None:
        raise AbsentError(f"{path}: no such file, expected the settings of the curation as YAML")
    return _parsed(path, found)


def home_settings(root: Path) -> Any:
    """Return the settings of the home folder `root`: its `curation.yaml`, or the defaults."""
    path = root / FILE_NAME
    found = _read(path)
    return Settings() if found is None else _parsed(path, found)


def pin_settings(root: Path, settings: Any) -> None:
    """Write `settings` as the home's `curation.yaml`, or check that an existing file has the same settings.

    Raises:
        ConfigurationError: the home has other settings; names the first field that differs.
    """
    path = root / FILE_NAME
    found = _read(path)
    if found is None:
        data = settings_yaml(to_mapping(settings)).encode()
        if is_remote(path):
            request(path, lambda: path.write_bytes(data))
        else:
            root.mkdir(parents=True, exist_ok=True)
            replace_file(path, data)
        return
    for place, theirs, ours in differences(to_mapping(_parsed(path, found)), to_mapping(settings)):
        raise ConfigurationError(f"{path}: {place} is {theirs!r}, not {ours!r}; a corpus has one settings file")


def settings_yaml(settings: Mapping[str, Any]) -> str:
    """Return settings as YAML, in the order of the steps."""
    return str(yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True, width=100))


def laid_over(settings: C, given: Mapping[str, Any]) -> C:
    """Return `settings` with the values of a launch laid over them: those that are not the defaults of their fields.

    A launch names every field, also fields that its user did not set; a field at its default keeps the file's value.
    """
    cls = type(settings)
    merged = _merge(to_mapping(settings), given, to_mapping(cls()))
    return from_mapping(cls, merged)


def settings_of(artifact: Artifact) -> dict[str, dict[str, Any]]:
    """Return the settings of every step that the documents of a partition went through, by stage, with the digests of
    its models.
    """
    return {each.config["stage"]: _settings(each.config) for each in chain(artifact) if "stage" in each.config}


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    if "settings" not in config:
        return {name: value for name, value in config.items() if name not in ("stage", "partition")}
    return {**config["settings"], **{name: value for name, value in config.items() if name.endswith("_sha256")}}


def check_same_settings(sources: Mapping[str, Artifact]) -> None:
    """Refuse to merge partitions that were curated with different settings.

    Raises:
        ConfigurationError: names the first setting that differs, two partitions, and their values.
    """
    first, *others = sorted(sources)
    expected = settings_of(sources[first])
    for other in others:
        for place, theirs, ours in differences(settings_of(sources[other]), expected):
            raise ConfigurationError(
                f"partitions '{first}' and '{other}' were curated with different settings: {place} is {ours!r} and "
                f"{theirs!r}; curate one of them again, or set mixed_settings: true"
            )


def differences(one: Any, other: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the places at which two plain values differ, with the values of both."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in [*one, *(name for name in other if name not in one)]:
            yield from differences(one.get(name), other.get(name), f"{place}.{name}" if place else name)
    elif one != other:
        yield place, one, other


def _read(path: Path) -> bytes | None:
    """Return the bytes of a settings file, or None without a file.

    Raises:
        UnreachableError: the store does not answer.
    """
    try:
        return path.read_bytes() if not is_remote(path) else request(path, path.read_bytes)
    except (FileNotFoundError, AbsentError):
        return None
    except (IsADirectoryError, NotADirectoryError):
        raise InputError(f"{path}: is a folder, expected a YAML file") from None


def _parsed(path: Path, data: bytes) -> Any:
    """Return the defaults for an empty file or section; refuse anything else than a mapping."""
    try:
        values = yaml.safe_load(data.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if values is not None and not isinstance(values, Mapping):
        raise InputError(f"{path}: a {type(values).__name__}, expected a section for each step")
    sections = {str(name): {} if section is None else section for name, section in (values or {}).items()}
    return from_mapping(Settings, sections, str(path))


def _merge(base: Mapping[str, Any], given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in given.items():
        default = defaults.get(name)
        if isinstance(value, Mapping) and isinstance(default, Mapping) and default:
            merged[name] = _merge(base[name], value, default)
        elif value != default or name not in base:
            merged[name] = value
    return merged
