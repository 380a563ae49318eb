"""The list of capabilities in envoy/README.md is what the routing filter needs, neither less nor more than the module's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import wasmtime
import yaml

from envoy import configuration, process
from envoy.client import ask
from envoy.configuration import MAIN
from envoy.discovery import TYPES
from tests.envoy.conftest import MODULE, ROUTERS, wait_for
from tests.envoy.documents import read

KEY = "capability_restriction_config"
ALLOWED: dict[str, Any] = next(
    parsed[KEY]["allowed_capabilities"]
    for example in read([Path("envoy/README.md")])
    if KEY in (parsed := yaml.safe_load(example.text))
)
RULES = {
    "rules": [
        {"name": "no", "match": {"source_cidrs": ["127.0.0.9"]}, "action": {"reject": True}},
        {"name": "odd", "match": {"source_parity": "ODD"}, "action": {"cluster": ROUTERS[1]}},
    ],
    "failure_mode": "FAIL_CLOSED",
}
EVEN, ODD, BLOCKED = "127.0.0.4", "127.0.0.3", "127.0.0.9"


def test_the_list_is_the_modules() -> None:
    module = wasmtime.Module.from_file(wasmtime.Engine(), str(MODULE))
    # Envoy makes this call whatever the list says.
    callbacks = {found.name for found in module.exports if found.name.startswith("proxy_on_")} - {
        "proxy_on_memory_allocate"
    }
    assert {name for name in ALLOWED if name.startswith("proxy_on_")} == callbacks
    imported = {(found.module, found.name) for found in module.imports}
    wasi = {name for origin, name in imported if origin == "wasi_snapshot_preview1"}
    assert {name for name in ALLOWED if not name.startswith("proxy_")} == wasi
    assert set(ALLOWED) - callbacks <= {name for _, name in imported}


def test_the_list_is_that_of_the_filters_document() -> None:
    text = Path("filter/README.md").read_text(encoding="utf-8")
    table = text.partition("### What Envoy must allow")[2].partition("\n#")[0]
    rows = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(ALLOWED)


def test_with_the_list_all_works_and_plugins_with_different_lists_share_no_vm(
    ports: dict[str, int], tmp_path: Path
) -> None:
    made = configuration.for_loopback(MODULE, ports, tmp_path / "access.log")
    made["static_resources"]["listeners"] = [configuration.listener(made, MAIN)]
    log = configuration.tcp_proxy(made)["access_log"][0]["typed_config"]["log_format"]["text_format_source"]
    log["inline_string"] = "rule=%FILTER_STATE(wasm.tcp_routing.rule:PLAIN)%\n"
    configuration.plugin(made)["configuration"] = {"@type": TYPES + "google.protobuf.Struct", "value": RULES}
    lists: dict[str, Any] = {MAIN: ALLOWED, "same": ALLOWED, "other": {"proxy_log": {}}}
    for name, allowed in lists.items():
        if name != MAIN:
            configuration.add_listener(made, name)
        configuration.plugin(made, name)[KEY] = {"allowed_capabilities": allowed}
    with process.run(made, tmp_path) as envoy:
        # Each VM counts three times: Envoy keeps one to clone, one for the main thread, one for the worker.
        assert envoy.counter("wasm.wasm_vm_count") == 2 * 3
        answers = {
            name: [ask(envoy.listeners[name], source=source)[0] for source in (EVEN, ODD, BLOCKED)] for name in lists
        }
        assert answers == {MAIN: [*ROUTERS, ""], "same": [*ROUTERS, ""], "other": [ROUTERS[0]] * 3}
        assert wait_for(lambda: (tmp_path / "access.log").read_text().count("rule=odd\n") == 2)
        # A call that is refused would be told, but `other` makes none, for it is never asked.
        assert not [line for line in envoy.log_lines("[TCP WASM]") if "[info]" not in line]
