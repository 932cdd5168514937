"""What the benchmark of `make setup` reads out of pip's log."""

from benchmarks.setup import pip_rows


def test_packages_are_counted_by_where_they_came_from(tmp_path):
    wheel = tmp_path / "torch-2.13.0+cpu-cp311-none-linux_x86_64.whl"
    wheel.write_bytes(bytes(3_000_000))
    log = "\n".join(
        [
            "2026-11-28T13:37:15,519   Downloading pyarrow-26.0.1-cp311-manylinux.whl (42.3 MB)",
            "2026-11-28T13:37:15,519   Downloading numpy-2.4.6.whl.metadata (60 kB)",
            "2026-11-28T13:37:15,519   Downloading tiny-1.0.tar.gz (512 bytes)",
            "2026-11-28T13:37:15,519   Downloading link https://example.com/simple/numpy/",
            f"2026-11-28T13:37:15,519 Processing {wheel}",
            f"2026-11-28T13:37:16,519 Processing {wheel}",
            f"2026-11-28T13:37:16,519 Processing {tmp_path}/absent.whl",
        ]
    )
    downloaded, local = pip_rows(log)
    assert downloaded.value == (42_300_000 + 60_000 + 512) / 1e6
    assert local.value == 3.0
