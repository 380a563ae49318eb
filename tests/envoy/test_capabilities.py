"""What becomes of the filter under Envoy's `capability_restriction_config`: each row of the table in filter/README.md.

Each listener has a VM of its own in which one capability of the table is missing, or all that are not needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from envoy import configuration, discovery, process
from envoy.client import ask
from tests.envoy.conftest import MODULE, ROUTERS, wait_for

FIRST, SECOND = ROUTERS
POLICY = {
    "rules": [
        {"name": "blocked", "match": {"source_cidrs": ["127.0.0.3"]}, "action": {"reject": True}},
        {"name": "left", "match": {"source_cidrs": ["127.0.0.4"]}, "action": {"continue": True}},
    ],
    "default_action": {"cluster": SECOND},
}
WORKS = {"127.0.0.3": "", "127.0.0.4": FIRST, "127.0.0.5": SECOND}
CLOSED = dict.fromkeys(WORKS, "")
UNSEEN = dict.fromkeys(WORKS, FIRST)
EFFECTS = {"works": WORKS, "refused": None, "closes": CLOSED, "is not asked": UNSEEN}


def documented() -> dict[str, str]:
    """Returns the capabilities that filter/README.md lists, with the word for what becomes of the filter without them."""
    text = Path("filter/README.md").read_text(encoding="utf-8")
    table = text.partition("### What Envoy must allow")[2].partition("\n#")[0]
    found: dict[str, str] = {}
    for names, effect in re.findall(r"^\| (`.*?`) \| \*(.*?)\*", table, re.MULTILINE):
        found |= dict.fromkeys(re.findall(r"`(\w+)`", names), effect)
    return found


# Without `proxy_close_stream` only what may close a connection is refused, as this policy.
CAPABILITIES = documented()
MISSING = {name: {name} for name in CAPABILITIES} | {
    "nothing": set(),
    "all_optional": {name for name, effect in CAPABILITIES.items() if effect == "works"},
}


@pytest.fixture(scope="module")
def envoy(ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Envoy]:
    work = tmp_path_factory.mktemp("envoy")
    made = configuration.for_loopback(MODULE, ports, work / "access.log")
    for name, missing in MISSING.items():
        configuration.add_listener(made, name)
        plugin = configuration.plugin(made, name)
        value = {"@type": "type.googleapis.com/google.protobuf.Struct", "value": POLICY}
        plugin |= {"name": name, "root_id": name, "configuration": value}
        plugin["vm_config"]["vm_id"] = name
        allowed: dict[str, object] = {capability: {} for capability in CAPABILITIES if capability not in missing}
        plugin["capability_restriction_config"] = {"allowed_capabilities": allowed}
    listeners = made["static_resources"]["listeners"]
    made["static_resources"]["listeners"] = [item for item in listeners if item["name"] in MISSING]
    # Of a file Envoy takes the listeners that it can take.
    discovery.Listeners(made, work)
    with process.run(made, work) as envoy:
        assert wait_for(lambda: envoy.counter("listener_manager.lds.update_rejected") == 1, 60)
        assert wait_for(lambda: envoy.counter("listener_manager.total_listeners_warming") == 0, 60)
        envoy.read_listeners()
        yield envoy


def said(envoy: process.Envoy, name: str) -> set[str]:
    found = [re.search(rf" log {name} {name}: (\[TCP WASM\] .*|.*Traceback.*)", line) for line in envoy.log_lines(name)]
    return {line[1] for line in found if line}


@pytest.mark.parametrize("name", MISSING)
def test_without_a_capability_it_is_as_documented(envoy: process.Envoy, name: str) -> None:
    expected = EFFECTS[CAPABILITIES.get(name, "works")]
    if expected is None:
        assert name not in envoy.listeners
        return

    def refusals() -> int:
        return len(envoy.log_lines("Attempted call to restricted"))

    def outcome() -> dict[str, str]:
        return {source: ask(envoy.listeners[name], source=source)[0] for source in WORKS}

    assert outcome() == expected
    before = refusals()
    assert outcome() == expected
    # Envoy logs each refused call: there is at most one for a connection.
    assert refusals() - before <= len(WORKS)
    assert not [line for line in said(envoy, name) if "Traceback" in line]


def test_the_table_names_what_the_module_has(envoy: process.Envoy) -> None:
    module = MODULE.read_bytes()
    for name in CAPABILITIES:
        assert name.encode() in module
    assert set(CAPABILITIES.values()) == set(EFFECTS)
