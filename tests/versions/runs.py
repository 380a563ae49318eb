"""Runs a test file of //tests/envoy with another version of Envoy, and reads what its rows came to."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from examples.names import EXAMPLES
from tests.versions.table import Cell, message_of

NEWEST = "1.40.0"
"""The version of //third_party/pip:envoy.lock, which all other tests run with."""

ROWS = {
    "routing": "the TCP filter routes by address",
    "policy": "the TCP filter's rules",
    "reading": "each form of the TCP filter's configuration",
    "surroundings": "what Envoy puts around the TCP filter",
    "sniffing": "the first bytes choose the cluster",
    "conversation": "connections, held back, answered and ended, as the test hosts say",
    "http": "headers, bodies, trailers, gRPC of requests",
    "awaiting_http": "requests that wait for an answer",
    "http_deeds": "every pair and triple of deeds with a request: Envoy lives",
    "crashes": "deeds that end Envoy if nobody refuses them",
    "examples": "the examples together",
}
"""The rows, by the test file of //tests/envoy; `crashes` is a part of one, and each example is a row."""

_CRASHES = "test_the_same_deeds_end_envoy_if_nobody_refuses_them"


def row_of(file: str, test: str) -> str:
    """Returns the row that a test counts for."""
    if test.startswith(_CRASHES):
        return "crashes"
    if file == "examples":
        named = [example for example in EXAMPLES if re.match(rf"test_{example}\b|test_{example}_", test)]
        return f"example {max(named, key=len)}" if named else file
    return file


def rows() -> dict[str, str]:
    """Returns all rows, and what each is about."""
    return ROWS | {f"example {example}": f"the example `{example}`" for example in sorted(EXAMPLES)}


def site(version: str) -> Path:
    """Returns the directory on the path that has a version's Envoy, from the launcher's."""
    name = "wheels_envoy" if version == NEWEST else "envoy_" + version.replace(".", "_")
    found = Path("..") / name / "site"
    if not (found / "envoy" / "_bin" / "envoy").is_file():
        raise FileNotFoundError(f"{found} has no Envoy: run this through ./bazelw")
    return found.absolute()


_FILTERS = "type.googleapis.com/envoy.extensions.filters.network"
_EMPTY_MODULE = "AGFzbQEAAAA="


def unusable(version: str) -> str:
    """Returns what a version says if it has no V8; "" if it has."""
    code = {"local": {"inline_bytes": _EMPTY_MODULE}}
    config = {"name": "x", "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": code}}
    tcp_proxy = {"@type": f"{_FILTERS}.tcp_proxy.v3.TcpProxy", "stat_prefix": "x", "cluster": "x"}
    filters = [
        {"name": "wasm", "typed_config": {"@type": f"{_FILTERS}.wasm.v3.Wasm", "config": config}},
        {"name": "tcp", "typed_config": tcp_proxy},
    ]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    listeners = [{"name": "x", "address": address, "filter_chains": [{"filters": filters}]}]
    text = json.dumps({"static_resources": {"listeners": listeners, "clusters": [{"name": "x"}]}})
    command = [str(site(version) / "envoy" / "_bin" / "envoy"), "--mode", "validate", "--config-yaml", text]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    found = re.search(r"Failed to create Wasm VM[^\n]*", done.stderr)
    return found[0] if found else ""


def run(version: str, file: str) -> dict[str, Cell]:
    """Runs a test file with a version of Envoy, and returns what its rows came to.

    Raises RuntimeError with pytest's output if that wrote no report.
    """
    with tempfile.TemporaryDirectory(prefix="versions-") as work:
        out = Path(work) / "junit.xml"
        path = os.pathsep.join(
            [os.environ["PYTHONPATH"].partition(os.pathsep)[0], str(site(version)), os.environ["PYTHONPATH"]]
        )
        command = [
            sys.executable,
            "-S",
            "-B",
            "-m",
            "pytest",
            f"tests/envoy/test_{file}.py",
            "-q",
            "-p",
            "no:cacheprovider",
        ]
        command += ["--config-file=pyproject.toml", f"--junitxml={out}", f"--basetemp={Path(work) / 'tmp'}"]
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
        if not out.is_file():
            raise RuntimeError(f"{file} did not run with {version}:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
        return cells_of(file, out.read_text())


def cells_of(file: str, junit: str) -> dict[str, Cell]:
    """Reads pytest's own report; a test that is skipped does not count."""
    cells: dict[str, Cell] = {}
    for case in ElementTree.fromstring(junit).iter("testcase"):
        test = case.attrib["name"]
        cell = cells.setdefault(row_of(file, test), Cell())
        wrong = next((found for kind in ("failure", "error") if (found := case.find(kind)) is not None), None)
        if wrong is not None:
            cell.failed[test] = message_of(wrong.text or wrong.attrib.get("message", ""))
        elif case.find("skipped") is None:
            cell.passed += 1
    return cells
