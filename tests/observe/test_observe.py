"""The alerts on recorded series and on a real Envoy, and the dashboard's queries; skipped without Debian's `prometheus`."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from envoy import configuration, process, routers, waiting
from envoy.client import ask
from tests.observe.committed import queries, rules

OBSERVE = Path("observe").absolute()
QUERIES = queries()
RULES = rules()
ALERTS = [rule["alert"] for rule in RULES]
MODULE = Path("filter/filter.wasm").absolute()
WAIT_SECONDS = 60.0


def needed(program: str) -> str:
    found = shutil.which(program)
    if not found:
        pytest.skip(f"{program} is not installed: tools/debian-install prometheus")
    return found


def wait_for(found: Callable[[], Any]) -> bool:
    """Waits until something is so, and tells whether it came to be."""
    return waiting.wait_for(found, WAIT_SECONDS, pause=0.1)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [needed("promtool"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus, the Envoy that it scrapes, and a Unix socket whose connections have no address."""

    port: int
    envoy: process.Envoy
    unix_socket: str

    def get(self, path: str, **parameters: str) -> Any:
        """Returns what the API answers."""
        url = f"http://127.0.0.1:{self.port}/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[Any]:
        """Returns the samples of a query, as Grafana would send it."""
        samples: list[Any] = self.get("api/v1/query", query=expression)["result"]
        return samples

    def firing(self) -> set[str]:
        """Returns the names of the alerts that have gone off."""
        alerts = self.get("api/v1/alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


@contextlib.contextmanager
def scraping(envoy: process.Envoy, work: Path, unix_socket: str) -> Iterator[Prometheus]:
    """Runs the repository's configuration, with this Envoy, and scrapes four times a second."""
    made = yaml.safe_load((OBSERVE / "prometheus.yml").read_text(encoding="utf-8"))
    made["global"] = {"scrape_interval": "250ms", "evaluation_interval": "250ms", "scrape_timeout": "250ms"}
    made["rule_files"] = [str(OBSERVE / name) for name in made["rule_files"]]
    made["scrape_configs"][0]["static_configs"][0]["targets"] = ["{}:{}".format(*envoy.admin)]
    (work / "prometheus.yml").write_text(json.dumps(made))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = [needed("prometheus"), f"--config.file={work / 'prometheus.yml'}", f"--storage.tsdb.path={work / 'data'}"]
    with (work / "prometheus.log").open("wb") as log:
        running = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=process.die_with_parent,
        )
    prometheus = Prometheus(port, envoy, unix_socket)
    try:

        def ready() -> bool:
            with contextlib.suppress(OSError, urllib.error.URLError):
                return len(prometheus.query("up")) == 1
            assert running.poll() is None, (work / "prometheus.log").read_text(errors="replace")
            return False

        assert wait_for(ready)
        yield prometheus
    finally:
        running.terminate()
        running.wait(20)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    needed("prometheus")
    work = tmp_path_factory.mktemp("observe")
    # A Unix socket's path must be short.
    unix_socket = Path(f"/tmp/pw-observe-{time.monotonic_ns()}.sock")
    with routers.run(["egress-router1", "egress-router2"]) as ports:
        made = configuration.for_loopback(MODULE, ports, work / "access.log")
        configuration.add_unix_socket(made, unix_socket)
        try:
            with process.run(made, work) as envoy, scraping(envoy, work, str(unix_socket)) as running:
                yield running
        finally:
            unix_socket.unlink(missing_ok=True)


def test_the_files_are_what_prometheus_reads() -> None:
    for kind, name in (("config", "prometheus.yml"), ("rules", "alerts.yml")):
        done = promtool("check", kind, OBSERVE / name)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_alerts_on_recorded_series(tmp_path: Path) -> None:
    tests = Path("tests/observe/alerts_test.yml").read_text(encoding="utf-8")
    shutil.copy(OBSERVE / "alerts.yml", tmp_path)
    (tmp_path / "alerts_test.yml").write_text(tests)
    done = promtool("test", "rules", tmp_path / "alerts_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    recorded = [[test["alertname"] for test in group["alert_rule_test"]] for group in yaml.safe_load(tests)["tests"]]
    assert [set(names) for names in recorded] == [set(ALERTS)] * 2


def test_recorded_series_that_are_wrong_are_told(tmp_path: Path) -> None:
    text = (OBSERVE / "alerts.yml").read_text(encoding="utf-8")
    (tmp_path / "alerts.yml").write_text(text.replace("tcp_routing_failed[5m]", "tcp_routing_fails[5m]"))
    shutil.copy("tests/observe/alerts_test.yml", tmp_path)
    assert "FilterFails" in promtool("test", "rules", tmp_path / "alerts_test.yml").stderr


def test_the_dashboards_queries_and_an_alert_on_a_real_envoy(prometheus: Prometheus) -> None:
    assert prometheus.firing() == set()
    sources = [f"127.22.0.{last}" for last in range(10, 20)]
    for source in sources:
        ask(prometheus.envoy.listeners["main"], source=source)
    ask(prometheus.unix_socket)

    def unanswered() -> list[str]:
        """The queries without an answer: an increase needs two samples."""
        return [name for name, expression in QUERIES.items() if not prometheus.query(expression)]

    assert wait_for(lambda: len(prometheus.query("tcp_routing_routed == 5")) == 2)
    assert wait_for(lambda: not unanswered()), unanswered()
    (share,) = prometheus.query(next(e for name, e in QUERIES.items() if name.startswith("Filtered")))
    assert float(share["value"][1]) == pytest.approx(1)
    assert wait_for(prometheus.firing)
    assert prometheus.firing() == {"NoAddress"}


def test_a_real_prometheus_can_evaluate_every_alert(prometheus: Prometheus) -> None:
    def evaluated() -> list[Any]:
        found: list[Any] = prometheus.get("api/v1/rules")["groups"][0]["rules"]
        return found

    assert wait_for(lambda: all(rule["health"] != "unknown" for rule in evaluated()))
    assert {rule["name"]: rule.get("lastError", "") for rule in evaluated()} == dict.fromkeys(ALERTS, "")


def test_every_metric_that_is_named_is_one_that_envoy_has(prometheus: Prometheus) -> None:
    there = prometheus.get("api/v1/label/__name__/values")
    expressions = [*QUERIES.values(), *(rule["expr"] for rule in RULES)]
    named = {
        name
        for expression in expressions
        for name in re.findall(r"\b(?:up|(?:envoy|tcp_routing)_[a-z_]+)\b", expression)
    }
    patterns = {pattern for expression in expressions for pattern in re.findall(r'__name__=~"(.+?)"', expression)}
    found = {pattern for pattern in patterns if any(re.fullmatch(pattern, name) for name in there)}
    # An Envoy without LDS and ECDS has no counters of theirs.
    assert [pattern for pattern in patterns - found if "update_rejected" not in pattern] == []
    assert {name for name in named if not name.endswith("_")} <= set(there)
