"""What assets are handed by the instance: the home folder, and the client that starts training processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg

from assets.support.processes import pipes_client
from lm.storage import Artifact, open_artifact
from pipelines import paths
from pipelines.curation.settings import home_settings


class LoamHome(dg.ConfigurableResource):
    """The folder or store that artifacts are kept in."""

    path: str = ""
    """A folder, or a URL such as s3://bucket/prefix; empty means `$LOAM_HOME`, or `.loam` in the working folder."""

    @property
    def root(self) -> Path:
        """The folder as an absolute path, or the store's URL as a path."""
        return paths.root_at(self.path) if self.path else paths.home()

    @property
    def downloads(self) -> Path:
        """The folder of this machine that remote files are downloaded to."""
        return paths.downloads(self.root)

    def settings(self) -> Any:
        """The settings of the curation: `curation.yaml` of the home, or the defaults."""
        return home_settings(self.root)

    def target(self, name: str, partition: str | None = None) -> Path:
        """Where asset `name` publishes."""
        return paths.artifact_path(name, partition, self.root)

    def artifact(self, name: str, partition: str | None = None) -> Artifact:
        """What asset `name` has published.

        Raises:
            InputError: it was not materialized yet.
        """
        return open_artifact(self.target(name, partition))


RESOURCES: dict[str, object] = {"home": LoamHome(), "pipes": pipes_client()}
