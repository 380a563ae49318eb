"""docs/fleet.md is what the record of the last runs makes: nobody has edited it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mesh import fleet

RUN = {
    "Envoys": "50",
    "plugins in each": "1",
    "VMs": "one for all plugins",
    "module": "4000000",
    "memory of an Envoy without plugins, and with them": "64 and 128 MiB",
    "start: processor time of an Envoy": "1.8 s",
    "updates of one plugin at a time": "20.0 a second, 50.00 ms of Envoy's processor time each",
}


def test_the_page_is_made_of_the_record() -> None:
    assert (Path() / fleet.PAGE).read_text(encoding="utf-8") == fleet.page(fleet.read(Path()))


def test_a_fleet_is_multiplied() -> None:
    text = fleet.page({"": RUN})
    for row in (
        "| pulled, as an image volume | 0.14 GB | 1.34 GB |",
        "| pulled, as a WasmPlugin | 4.0 GB | 40.0 GB |",
        "| memory that the filter adds | 62 GiB | 625 GiB |",
        "| processor time to start | 0.50 h | 5.00 h |",
        "| processor time to take new rules | 50 s | 500 s |",
        "| new rules in all of them, at the rate measured | 0.8 min | 8.3 min |",
    ):
        assert row in text


def test_a_few_envoys_are_no_fleet() -> None:
    with pytest.raises(ValueError, match="--envoys 50"):
        fleet.page({"": RUN | {"Envoys": "20"}})
