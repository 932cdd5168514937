"""`python -m assets partitions add CRAWL/gNNNN [--folder FOLDER]`: groups of WARC files, the promoted model,
and the grids of Loam's own scaling law.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import dagster as dg
import yaml

from assets.automation.instance import prepare
from assets.automation.law_run import law_run_config
from assets.automation.partitions import WARC_GROUPS
from assets.support.promotion import MODEL, promote
from lm.command_line import add_command
from lm.errors import ConfigurationError, run_command
from lm.scaling.grid_config import GRIDS
from pipelines.common_crawl import DATA_URL
from pipelines.paths import DEMO_CRAWL, home, root_at
from pipelines.sources.group_source import GroupSource, add_group, stored_groups


def main(argv: list[str] | None = None) -> int:
    """Add or list groups, or promote the model; print a line for each."""
    arguments = _parser().parse_args(argv)
    if arguments.subject == "promote":
        kept = promote(root_at(arguments.home) if arguments.home else home())
        print(f"promoted {MODEL} {kept['digest'][:12]}, {kept['bits_per_byte']:.4f} bits per byte")
        return 0
    if arguments.subject == "grid":
        print(yaml.safe_dump(law_run_config(GRIDS[arguments.name]), sort_keys=False), end="")
        return 0
    if arguments.subject == "prepare":
        prepare()
        return 0
    if not os.environ.get("DAGSTER_HOME"):
        raise ConfigurationError(
            "DAGSTER_HOME is not set, expected the folder of the Dagster instance, as in the Makefile"
        )
    if not Path(os.environ["DAGSTER_HOME"]).is_dir():
        prepare()
    root = root_at(arguments.home) if arguments.home else home()
    with dg.DagsterInstance.get() as instance:
        if arguments.action == "list":
            stored = stored_groups(root)
            for key in sorted(instance.get_dynamic_partitions(str(WARC_GROUPS.name))):
                is_built_in = key.partition("/")[0] == DEMO_CRAWL
                print(f"{key}  {'the built-in crawl' if is_built_in else _described(stored.get(key))}")
            return 0
        for key in arguments.groups:
            source = GroupSource(
                folder=arguments.folder,
                files=tuple(arguments.files),
                files_per_group=arguments.files_per_group,
                file_kind=arguments.file_kind,
                base_url=arguments.base_url,
            )
            stored_source = add_group(root, key, source)
            instance.add_dynamic_partitions(str(WARC_GROUPS.name), [key])
            print(f"{key}  {_described(stored_source)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m assets",
        description="Manage groups of WARC files, the promoted model, and the grids of Loam's own scaling law.",
    )
    parser.add_argument("--home", help="folder or store of the artifacts (default: $LOAM_HOME or .loam)")
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    add_command(subjects, "promote", "make the current pre-trained model the baseline of the check no_regression")
    add_command(subjects, "prepare", "create the Dagster instance, with its settings and the groups of the job demo")
    grid = add_command(subjects, "grid", "print the configuration of the job scaling_law for one of the grids")
    grid.add_argument("name", choices=[*GRIDS], help="name of the grid")
    partitions = add_command(subjects, "partitions", "list or register groups of WARC files")
    actions = partitions.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_command(actions, "list", "print the registered groups and their sources")
    add = add_command(actions, "add", "register groups, and store the source of each")
    add.add_argument("groups", nargs="+", metavar="CRAWL/gNNNN", help="names of groups, such as local/g0000")
    add.add_argument("--folder", help="folder of WARC files, local or in a store (default: Common Crawl)")
    add.add_argument(
        "--files",
        nargs="+",
        default=[],
        metavar="NAME",
        help="file names of the group (default: the next files of the folder)",
    )
    add.add_argument("--files-per-group", type=int, default=2, metavar="N", help="WARC files per group (default: 2)")
    add.add_argument(
        "--file-kind", choices=("warc", "wet"), default="warc", help="kind of Common Crawl files (default: warc)"
    )
    add.add_argument("--base-url", default=DATA_URL, help="address of Common Crawl's files, or of a mirror")
    return parser


def _described(source: GroupSource | None) -> str:
    if source is None:
        return "no stored source"
    if not source.folder:
        return f"{source.file_kind} files of {source.base_url}, {source.files_per_group} per group"
    return f"{source.folder}: {', '.join(source.files)}"


if __name__ == "__main__":
    run_command(main)
