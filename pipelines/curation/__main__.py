"""`python -m pipelines.curation --warc FOLDER_OR_FILES --out FOLDER`: curate WARC files without Dagster."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from lm.errors import InputError, run_command
from lm.storage import sha256_of
from pipelines.common_crawl import group_paths
from pipelines.curation.funnel import funnel, funnel_lines
from pipelines.curation.run import curate
from pipelines.curation.settings import home_settings, pin_settings, read_settings
from pipelines.curation.steps import CORPUS, JUDGING
from pipelines.paths import artifact_path, downloads, partition_key, root_at
from pipelines.report.curation import PAGE, write_curation_report
from pipelines.sources.warc_file import WarcFile
from pipelines.sources.warc_groups import WarcSource, list_groups, resolve_group


def main(argv: list[str] | None = None) -> int:
    """Curate, then print the funnel and the path of the corpus."""
    arguments = _parse(argv)
    home = arguments.out
    settings = read_settings(arguments.config) if arguments.config else home_settings(home)
    groups = _groups(arguments.warc, arguments.crawl, arguments.files_per_group, home)
    digests = [file.sha256 for files in groups.values() for file in files]
    for step in JUDGING:
        # What is missing is said before anything is written.
        step.open_classifiers(getattr(settings, step.stage), home, digests)
    pin_settings(home, settings)
    made = curate(groups, home, settings, num_workers=arguments.workers)
    steps = {next(iter(each.values())).summary["stage"]: list(each.values()) for each in made.values()}
    page = write_curation_report(steps, artifact_path("curation_report", root=home)).file(PAGE)
    print("\n".join(funnel_lines(funnel(artifact for each in steps.values() for artifact in each))))
    sets = made[CORPUS][None].summary["evaluation_sets"]
    print(f"\ncorpus  {made[CORPUS][None].folder}\nreport  {page}")
    print(f"decontaminated against  {', '.join(sets) or 'nothing: no evaluation sets are configured'}")
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.curation",
        description="Curate WARC files into one clean corpus, with the same artifact paths as the Dagster assets.",
    )
    parser.add_argument(
        "--warc", nargs="+", required=True, metavar="PATH", help="a folder of WARC files, or WARC files"
    )
    parser.add_argument("--out", type=root_at, required=True, metavar="HOME", help="folder or store of the artifacts")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="YAML",
        help="settings file with one section per step (default: HOME/curation.yaml), copied to HOME/curation.yaml",
    )
    parser.add_argument("--crawl", default="local", help="name of the crawl (default: local)")
    parser.add_argument(
        "--files-per-group", type=_positive, default=2, metavar="N", help="WARC files per group (default: 2)"
    )
    parser.add_argument("--workers", type=_positive, metavar="N", help="number of processes (default: one per core)")
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}', expected a whole number of at least 1")
    return int(text)


def _groups(places: Sequence[str], crawl: str, files_per_group: int, home: Path) -> dict[str, list[WarcFile]]:
    """Return the WARC files of each group, by partition key."""
    if len(places) == 1 and not Path(places[0]).is_file():
        source = WarcSource(kind="folder", crawl=crawl, folder=places[0], files_per_group=files_per_group)
        return {key: resolve_group(source, key, downloads(home)) for key in list_groups(source)}
    files = [_file(Path(place)) for place in places]
    by_name = {file.name: file for file in files}
    if len(by_name) < len(files):
        raise InputError(f"--warc: two files are named '{_twice([file.name for file in files])}', expected one")
    groups = group_paths(sorted(by_name), files_per_group)
    return {partition_key(crawl, number): [by_name[name] for name in group] for number, group in enumerate(groups)}


def _file(path: Path) -> WarcFile:
    if path.is_dir():
        raise InputError(f"{path}: a folder among several paths, expected a single folder, or only WARC files")
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a WARC file")
    return WarcFile(path.name, path, path.stat().st_size, sha256_of(path))


def _twice(names: Sequence[str]) -> str:
    return next(name for name in names if names.count(name) > 1)


if __name__ == "__main__":
    run_command(main)
