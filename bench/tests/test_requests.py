"""HTTP's part of the benchmarks: the hand-written floors do what the filters do, and the tables say what was measured."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from bench.http import client, measure, steps
from bench.http.variants import FLOORS, GUESTS, LARGE, VARIANTS, Variant
from bench.proxy import binary
from bench.reporting import requests
from proxy_wasm.testing.host import Host
from toolchain.wasm import format as wasm

PAIRS = [(v, f) for v in VARIANTS for f in VARIANTS if f.name == f"{v.name}-floor"]
BY_NAME = {variant.name: variant for variant in VARIANTS}


class Recorder(Host):
    """A host that keeps the host calls and their arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        for name in dir(Host):
            if name.startswith("proxy_"):
                setattr(self, name, partial(self._record, name, getattr(self, name)))

    def _record(self, name: str, method: Any, *arguments: Any) -> Any:
        self.calls.append((name, arguments))
        return method(*arguments)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiled")


def calls(variant: Variant, cache: Path) -> list[tuple[str, tuple[Any, ...]]]:
    host = Recorder()
    vm = steps.started(variant, host, cache)
    for _ in range(2):
        host.calls.clear()
        steps.serve(vm)
    return host.calls


@pytest.mark.parametrize(("python", "floor"), PAIRS, ids=[python.name for python, _ in PAIRS])
def test_a_floor_makes_its_filters_host_calls(python: Variant, floor: Variant, cache: Path) -> None:
    made = calls(python, cache)
    assert calls(floor, cache) == made
    assert bool(made) == (python.name != "empty")


AT_MOST = {"empty": 2_500, "typical": 7_200, "pairs": 20_500, "callback": 19_000, "await": 17_500}
"""Instructions of a request."""


@pytest.mark.parametrize("name", AT_MOST)
def test_a_request_costs_no_more_than_it_did_and_the_three_hundredth_what_the_thirtieth_does(
    name: str, cache: Path
) -> None:
    vm = steps.started(BY_NAME[name], Host(), cache)
    taken = [steps.serve(vm) for _ in range(320)]
    # Numbers from 257 on are objects to be made, and a collection may fall on one request.
    assert median(taken[300:320]) < 1.2 * median(taken[20:40])
    assert sum(taken[300:320]) / 20 < AT_MOST[name]


@pytest.mark.parametrize(("python", "floor"), PAIRS, ids=[python.name for python, _ in PAIRS])
def test_a_floor_exports_its_filters_callbacks(python: Variant, floor: Variant, tmp_path: Path) -> None:
    exported = []
    for variant in (python, floor):
        assert variant.module
        found = wasm.Module(binary(variant.module, tmp_path).read_bytes()).exports()
        exported.append({export.name for export in found if export.name.startswith("proxy_on_")})
    assert exported[0] == exported[1]


def test_every_floor_and_guest_is_measured() -> None:
    used = {variant.module for variant in VARIANTS if variant.module}
    assert set(FLOORS.glob("*.wat")) <= used
    assert {guest.with_suffix(".wasm") for guest in GUESTS.glob("*.py")} <= used


def made_up() -> dict[str, Any]:
    """Figures in which each variant takes 10 more than what it goes beyond, the second burst 12."""
    bursts: dict[str, measure.Bursts] = {}
    for variant in VARIANTS:
        base = bursts[variant.beyond].worker_us if variant.beyond else [100.0, 200.0, 300.0]
        more = [10.0, 12.0, 10.0] if variant.beyond else [0.0, 0.0, 0.0]
        times = [one + another for one, another in zip(base, more, strict=True)]
        bursts[variant.name] = measure.Bursts(variant, times, [1.0] * 3, [0.9] * 3, requests=30)
    settings = [measure.Setting(client.HTTP1, 1, bursts), measure.Setting(client.HTTP2, 4, bursts)]
    return requests.figures(settings, {"typical": 1234}, measure.Effort(3, 10))


def test_what_a_filter_adds_is_the_median_of_the_differences() -> None:
    made = made_up()
    assert [setting["name"] for setting in made["settings"]] == ["HTTP/1.1, 1 worker", "HTTP/2, 4 workers"]
    found = made["settings"][0]["variants"]
    assert found["typical"]["beyond_us"] == [10.0, 10.0, 12.0]
    assert found["baseline"]["beyond_us"] is None
    assert found["typical"]["worker_us"][0] == 224.0


def test_the_tables_and_sentences_say_what_was_measured() -> None:
    made = made_up()
    compared, beyond, whole = requests.tables({"http": made})
    assert len(compared.rows) == len(whole.rows) == len(VARIANTS)
    row = next(row for row in beyond.rows if row[0] == "typical")
    assert row == ["typical", "typical-floor", "10.0 [10.0, 12.0]", "10.0 [10.0, 12.0]", "4.0", "1,234"]
    (text,) = requests.sentences({"http": made})
    assert "typical takes 10.0 more than typical-floor, more than the aim of 4.0." in text
    assert "await takes 10.0 more than callback, within the aim of 10.0." in text
    assert "10.0 [10.0, 12.0]" in requests.as_text(made)


def test_wrong_answers_are_said_first() -> None:
    (text,) = requests.sentences({"http": made_up() | {"wrong": 2}})
    assert text.startswith("Not correct: 2 of")


def test_a_report_without_http_has_no_tables_or_says_why() -> None:
    assert not requests.tables({}) and not requests.sentences({})
    (table,) = requests.tables({"http": {"error": "no client"}})
    assert table.note == "Not measured: no client"


TOLD = "status codes: {} 2xx, 0 3xx, 0 4xx, 0 5xx\ntraffic: 1.00KB (1024) total, 1B (1) headers (space savings 0.00%), 1B ({}) data"


@pytest.mark.parametrize(
    ("answered", "size", "wrong"), [(10, 10 * LARGE, 0), (9, 9 * LARGE, 1), (10, 10 * LARGE - 1, 10), (10, 0, 10)]
)
def test_a_wrong_status_and_a_wrong_size_are_seen(answered: int, size: int, wrong: int) -> None:
    assert client._wrong(TOLD.format(answered, size), BY_NAME["body"], 10) == wrong


def test_what_the_client_writes_otherwise_is_an_error() -> None:
    with pytest.raises(client.ClientError, match="not understood"):
        client._wrong("nothing", BY_NAME["body"], 10)
