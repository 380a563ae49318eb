"""A policy that is refused on a real Envoy: at the start, and as an update."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from envoy import configuration, process
from envoy.client import ask
from tests.envoy.conftest import MODULE, wait_for
from tests.envoy.policies import FIRST, REJECTED, SECOND, configure
from tests.policies import cases


def test_a_refused_update_keeps_the_old_rules_and_a_refused_start_ends_envoy(
    ports: dict[str, int], tmp_path: Path
) -> None:
    made = configuration.for_loopback(MODULE, ports, tmp_path / "access.log")
    good = {"rules": [{"match": {"source_parity": "EVEN"}, "action": {"cluster": SECOND}}]}
    bad = {
        "rules": [*good["rules"], {"match": {"source_cidrs": ["10.0.0.0/8", "10.0.0.1/8"]}, "action": {"reject": True}}]
    }
    reason = "rules[1].match.source_cidrs[1]: '10.0.0.1/8' has bits set behind the prefix of 8"
    configure(made, "main", bad)
    with pytest.raises(process.EnvoyError), process.run(made, tmp_path):
        pass
    log = tmp_path / "envoy.log"
    [line] = [line for line in log.read_text().splitlines() if "rules[" in line]
    assert "[error]" in line and line.endswith(f"[TCP WASM] Refused: {reason}")
    log.unlink()

    listeners = made["static_resources"].pop("listeners")[:1]
    kind = "type.googleapis.com/envoy.config.listener.v3.Listener"

    def publish(policy: cases.Policy, version: int) -> None:
        configure({"static_resources": {"listeners": listeners}}, "main", policy)
        whole = {"version_info": str(version), "resources": [{"@type": kind, **item} for item in listeners]}
        (tmp_path / "next.json").write_text(json.dumps(whole))
        (tmp_path / "next.json").rename(tmp_path / "listeners.json")

    publish(good, 1)
    made["node"] = {"id": "test", "cluster": "test"}
    made["dynamic_resources"] = {"lds_config": {"path_config_source": {"path": str(tmp_path / "listeners.json")}}}
    with process.run(made, tmp_path) as envoy:
        assert wait_for(lambda: envoy.counter("listener_manager.total_listeners_active") == 1, 60)
        envoy.read_listeners()
        address = envoy.listeners["main"]
        assert ask(address, source="127.22.0.10")[0] == SECOND
        publish(bad, 2)
        assert wait_for(lambda: envoy.counter("listener_manager.lds.update_rejected") == 1, 60)
        assert [line.partition("Refused: ")[2] for line in envoy.log_lines("rules[")] == [reason]
        for source, router in (("127.22.0.10", SECOND), ("127.22.0.11", FIRST)):
            assert ask(address, source=source)[0] == router
        publish({"rules": [{"action": {"reject": True}}]}, 3)
        assert wait_for(lambda: envoy.counter("listener_manager.lds.update_success") == 2, 60)
        assert wait_for(lambda: ask(address, source="127.22.0.10")[0] == REJECTED, 60)
