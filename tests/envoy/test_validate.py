"""What `envoy --mode validate` finds, and what it does not look at."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from envoy import configuration, process
from envoy.configuration import Configuration
from envoy.discovery import Listeners
from tests.envoy.conftest import MODULE

PORTS = {"egress-router1": 1, "egress-router2": 1}
REFUSED = "no such thing"
DAMAGED = "cold tier: the module's data is damaged"
REMOTE: dict[str, Any] = {
    "http_uri": {"uri": "http://127.0.0.1:1/filter.wasm", "cluster": "egress-router1", "timeout": "1s"},
    "sha256": "0" * 64,
}


def refuse(made: Configuration, work: Path) -> None:
    configuration.plugin(made)["configuration"]["value"] = REFUSED


def break_module(made: Configuration, work: Path) -> None:
    (work / "broken.wasm").write_bytes(b"no module")
    configuration.plugin(made)["vm_config"]["code"]["local"]["filename"] = str(work / "broken.wasm")


def damage_module(made: Configuration, work: Path, place: float) -> None:
    damaged = bytearray(MODULE.read_bytes())
    # What is packed is most of the file, and its end but for what it was made of.
    damaged[int(len(damaged) * place)] ^= 4
    (work / "damaged.wasm").write_bytes(damaged)
    configuration.plugin(made)["vm_config"]["code"]["local"]["filename"] = str(work / "damaged.wasm")


def misspell(made: Configuration, work: Path) -> None:
    configuration.plugin(made)["root_idd"] = "x"


def fetch_with_nack(made: Configuration, work: Path) -> None:
    configuration.plugin(made)["vm_config"] |= {"code": {"remote": REMOTE}, "nack_on_code_cache_miss": True}


def name_no_cluster(made: Configuration, work: Path) -> None:
    configuration.plugin(made)["configuration"]["value"] = '{"default_action": {"cluster": "nowhere"}}'


def fetch_and_refuse(made: Configuration, work: Path) -> None:
    refuse(made, work)
    configuration.plugin(made)["vm_config"]["code"] = {"remote": REMOTE}


def refuse_in_a_file(made: Configuration, work: Path) -> None:
    refuse(made, work)
    Listeners(made, work)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (refuse, f"[TCP WASM] Refused: the configuration is '{REFUSED}'"),
        (break_module, "Failed to load Wasm code"),
        *((partial(damage_module, place=place), DAMAGED) for place in (0.6, 0.9, 0.9999)),
        (misspell, "'root_idd') has unknown fields"),
        (fetch_with_nack, "Unable to create Wasm plugin"),
    ],
)
def test_it_finds(change: Callable[[Configuration, Path], None], told: str, tmp_path: Path) -> None:
    made = configuration.for_loopback(MODULE, PORTS, tmp_path / "access.log")
    change(made, tmp_path)
    status, output = process.validate(made, tmp_path)
    assert status == 1
    assert told in output


@pytest.mark.parametrize("change", [name_no_cluster, fetch_and_refuse, refuse_in_a_file])
def test_it_does_not_find(change: Callable[[Configuration, Path], None], tmp_path: Path) -> None:
    made = configuration.for_loopback(MODULE, PORTS, tmp_path / "access.log")
    change(made, tmp_path)
    status, output = process.validate(made, tmp_path)
    assert (status, REFUSED in output) == (0, False), output


_TRAPS = """
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096))
  (func (export "CALLBACK") (param i32 i32) (result i32) unreachable))
"""


@pytest.mark.parametrize(
    ("callback", "called"), [("proxy_validate_configuration", False), ("proxy_on_configure", True)]
)
def test_the_configuration_is_told_to_on_configure_alone(tmp_path: Path, callback: str, called: bool) -> None:
    """Envoy has a callback for validation too, which it never makes: so the SDK has none."""
    module = tmp_path / "traps.wasm"
    module.write_bytes(wasmtime.wat2wasm(_TRAPS.replace("CALLBACK", callback)))
    made = configuration.for_loopback(module, PORTS, tmp_path / "access.log")
    status, text = process.validate(made, tmp_path)
    assert (status != 0, "unreachable" in text) == (called, called), text
