"""What runs seldom is compiled if it is hot; what connections run is compiled in any case."""

from __future__ import annotations

import itertools
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest

from tests.host.toolchain_case import write
from toolchain.tier import heat
from toolchain.tier.build import train

REPORT = Path("filter/wasm.report.txt")
MUCH = 1000
"""So hot that the share decides, and not what may be interpreted in any case."""


def phase(**ran: int) -> dict[int, tuple[int, ...]]:
    return {int(name.removeprefix("f")): (calls, 0, 0) for name, calls in ran.items()}


def test_what_takes_a_small_part_of_the_time_cools() -> None:
    phases = [(False, phase(f1=5)), (True, phase(f2=1000 * MUCH, f3=12 * MUCH, f4=12 * MUCH))]
    # Both together are more than may be interpreted: the larger one saves more.
    assert heat.cool(phases, [2, 3, 4], {2: 100, 3: 100, 4: 200}) == {4}


def test_what_is_hot_in_one_phase_stays_compiled() -> None:
    phases = [(True, phase(f2=1000 * MUCH, f3=1)), (True, phase(f3=1000 * MUCH))]
    assert heat.cool(phases, [2, 3, 4], dict.fromkeys([2, 3, 4], 100)) == {4}


def test_little_may_be_interpreted_in_any_case() -> None:
    assert heat.cool([(True, phase(f2=9, f3=5))], [2, 3], {2: 10, 3: 10}) == {2, 3}


def test_of_what_also_runs_often_the_branches_of_that_count() -> None:
    phases: heat.Phases = [
        (True, {1: (7, 9, 0, 5, 1), 2: (1, 2, 3)}),
        (False, {1: (1, 0, 2, 0, 0)}),
        (False, {1: (2, 0, 3, 0, 0)}),
    ]
    assert heat.total(phases) == {1: (3, 0, 5, 5, 1), 2: (1, 2, 3)}


def test_what_runs_often_is_no_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that runs what a configuration runs too keeps it compiled, however little it is."""
    source = """
        from proxy_wasm.testing.training import Seldom
        def train(module):
            yield Seldom(b"\\1\\2\\3")
            yield b"\\2\\4"
            yield b"\\4"
    """
    write(tmp_path, {"seldom_training.py": dedent(source)})
    monkeypatch.syspath_prepend(tmp_path)
    cold = SimpleNamespace(module=b"", called=set, ever_called=set, reached=lambda memory: {})
    trained = train("seldom_training", cold)  # type: ignore[arg-type]
    assert (trained.often, trained.seldom) == ([4, 2], [1, 3])


def test_the_filters_readers_are_hot_and_so_is_the_search_for_garbage() -> None:
    parts = REPORT.read_text().split("\n\n")
    because = {head.partition(": ")[0]: names for head, names in itertools.pairwise(parts)}
    compiled, cooled = (
        {line.split()[1].rstrip(",") for line in because[reason].splitlines()}
        for reason in ("compiled because the training ran it", "cold because it runs seldom and little")
    )
    assert {"_PyGC_Collect", "subtype_traverse", "list_sort_impl", "scan_once_unicode", "bytes_translate"} <= compiled
    # Ports that are written as texts are nothing else.
    assert {"float_from_string_inner", "_Py_dg_strtod"} <= compiled
    assert len(cooled) > 100
    assert {"memoryview_cast", "ascii_decode"} <= cooled
