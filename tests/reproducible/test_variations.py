"""The filter is the same under the variations that need no privilege; `:variations` has them all, and CPython's boot too."""

from __future__ import annotations

from pathlib import Path

from tests.reproducible.variations import VARIATIONS, compare, rebuild_parts

QUICK = {"environment", "ASLR", "number of CPUs", "home", "exec path", "time zone", "umask"}


def test_the_filter_is_the_same_under_these_variations(tmp_path: Path) -> None:
    variations = tuple(v for v in VARIATIONS if v.name in QUICK)
    assert len(variations) == len(QUICK)
    found = rebuild_parts(tmp_path, variations, boot=False)["filter.wasm"]
    assert compare({"filter.wasm": Path("filter/filter.wasm")}, {"filter.wasm": found}) == []


def test_all_of_reprotests_variations_are_there() -> None:
    assert [v.name for v in VARIATIONS] == [
        *["environment", "build path", "kernel", "ASLR", "number of CPUs", "time", "user and group"],
        *["file ordering", "domain and host", "home", "locales", "exec path", "time zone", "umask"],
    ]
