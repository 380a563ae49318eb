"""Runs CPython's own tests in a real Envoy: a plugin without a listener takes a plan, and Envoy's log has what each test came to."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from envoy import process
from tests.conformance.record import Outcome, Outcomes
from tests.conformance.regression import read_outcomes

SILENT_SECONDS = 300.0
"""A test that has said nothing for so long counts as one without an end."""

START_SECONDS = 600.0
"""How long Envoy may take until it is ready: it compiles a module of some ten megabytes, beside other lots."""

STARTS = 5
"""So often an Envoy is started in which the plan does not begin: it may not answer in time beside other lots."""

Class = tuple[str, str]
"""A module of tests, and a class in it."""

_ENDED = "proxy_on_tick failed"


def _configuration(module: Path, plan: Sequence[tuple[str, str, list[str]]]) -> dict[str, Any]:
    text = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": json.dumps({"plan": plan})}
    code = {"local": {"filename": str(module)}}
    plugin = {"configuration": text, "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": code}}
    kind = "type.googleapis.com/envoy.extensions.wasm.v3.WasmService"
    service = {"@type": kind, "singleton": True, "config": plugin}
    return {
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "bootstrap_extensions": [{"name": "envoy.bootstrap.wasm", "typed_config": service}],
    }


def run(module: bytes, classes: Mapping[Class, Sequence[str]], work: Path) -> Outcomes:
    """Runs classes of tests, each without some of them, and returns what came of them; raises EnvoyError if no Envoy starts.

    After a test that ends its VM comes a new Envoy, which goes on.
    """
    code = work / "in_envoy.wasm"
    code.write_bytes(module)
    left = {one: list(without) for one, without in classes.items()}
    found: Outcomes = {}
    failed = 0
    while left:
        try:
            with tempfile.TemporaryDirectory(dir=work) as directory:
                lines, end = _run(
                    _configuration(code, [(*one, without) for one, without in left.items()]), Path(directory)
                )
        except (OSError, process.EnvoyError):
            failed += 1
            if failed == STARTS:
                raise
            continue
        outcomes, running = read_outcomes(lines)
        found.update(outcomes)
        if not end:
            break
        begun = [(words[1], words[2]) for words in lines if words[0] == "at"]
        if not running or not begun:
            raise process.EnvoyError(f"it {end}, and no test ran: {lines[-1:]}")
        found[running] = Outcome(end)
        left = {one: without for one, without in left.items() if one not in begun[:-1]}
        left[begun[-1]] += [*outcomes, running]
    return found


def _run(configuration: dict[str, Any], work: Path) -> tuple[list[list[str]], str]:
    """Returns the guest's answers, and what ended the VM before the plan was over."""
    quiet = ["--component-log-level", "wasm:info"]
    with process.run(configuration, work, log_level="warn", arguments=quiet, start_seconds=START_SECONDS) as envoy:
        size, since = 0, time.monotonic()
        while True:
            time.sleep(0.2)
            text = envoy.log.read_text(errors="replace")
            lines = [line.partition("\t")[2].split("\t") for line in text.split("\n") if "\t" in line]
            if lines and lines[-1] == ["over"]:
                return lines[:-1], ""
            if _ENDED in text or envoy.process.poll() is not None:
                return lines, "ended the VM"
            if len(text) != size:
                size, since = len(text), time.monotonic()
            elif time.monotonic() > since + SILENT_SECONDS:
                envoy.process.kill()
                return lines, "did not end"
