"""Dagster resources: the home folder, and the client that starts training processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg

from assets.support import dead_runs
from assets.support.processes import pipes_client
from lm.storage import Artifact, open_artifact
from pipelines import paths
from pipelines.curation.settings import home_settings


class LoamHome(dg.ConfigurableResource):
    """The home: folder or store of all artifacts."""

    path: str = ""
    """A folder, or a URL such as s3://bucket/prefix; empty means `$LOAM_HOME`, or `.loam` in the working folder."""

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """End the runs of processes that are gone, and mark this run as one of a living process."""
        if context.instance is not None and context.run is not None and not context.instance.is_ephemeral:
            dead_runs.bury(context.instance)
            dead_runs.hold(context.instance, context.run.run_id)

    @property
    def root(self) -> Path:
        """The folder as an absolute path, or the store's URL as a path."""
        return paths.root_at(self.path) if self.path else paths.home()

    @property
    def downloads(self) -> Path:
        """The local folder of downloaded files."""
        return paths.downloads(self.root)

    def settings(self) -> Any:
        """Return the settings of the curation: `curation.yaml` of the home, or the defaults."""
        return home_settings(self.root)

    def target(self, name: str, partition: str | None = None) -> Path:
        """Return the path of asset `name`."""
        return paths.artifact_path(name, partition, self.root)

    def artifact(self, name: str, partition: str | None = None) -> Artifact:
        """Return the artifact of asset `name`.

        Raises:
            InputError: the asset has not been materialized yet.
        """
        return open_artifact(self.target(name, partition))


RESOURCES: dict[str, object] = {"home": LoamHome(), "pipes": pipes_client()}
