"""The stack does what the README says: the walk-through, word for word, the profiles, and what its containers may not do."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.compose.conftest import CLIENT_NAMES, ROUTERS, Stack, run, wait_for
from tests.observe.committed import queries, rules

SERVICES = ["envoy", *ROUTERS]
README = Path("README.md").read_text(encoding="utf-8")


def test_a_missing_module_says_what_to_build_and_leaves_nothing_behind(built: Stack) -> None:
    assert not (built.directory / "bazel-bin").exists()
    done = built.compose("up", "--detach", "envoy", check=False)
    assert done.returncode
    assert re.search("does not exist: .*/build-the-module-first--bazelw-build-filter-wasm", done.stderr)
    assert not (built.directory / "bazel-bin").exists()


@pytest.mark.parametrize("parity", [0, 1])
def test_the_walk_through(stack: Stack, parity: int) -> None:
    commands = [line.strip() for line in README.splitlines() if line.strip().startswith("docker run ")]
    assert len(commands) == 2
    source, router = f"172.22.0.{10 + parity}", ROUTERS[parity]
    assert f"--ip {source} " in commands[parity]
    answer = json.loads(run(*shlex.split(commands[parity])).stdout)
    assert answer["router"] == router
    assert answer["origin"].startswith("172.22.")
    routed = re.compile(rf"\[TCP WASM\] Routed source {re.escape(source)}:(\d+) to {router}$")
    assert wait_for(lambda: any(routed.search(line) for line in stack.log()))
    port = next(found[1] for line in stack.log() if (found := routed.search(line)))
    access = rf"\[[\dT:.-]+Z\] src={re.escape(source)}:{port} via=172\.22\.\S+:10000 dst=172\.22\.\S+:8080 \({router}\)"
    assert wait_for(lambda: any(re.fullmatch(access, line) for line in stack.log()))
    # README shows this very output, but for times, ports and dynamic addresses.
    for line in (rf"Routed source {re.escape(source)}:\d+ to {router}\n", access.replace(port, r"\d+") + "\n"):
        assert re.search(line, README)


def test_the_baseline_and_the_admin_interface(stack: Stack) -> None:
    for parity in (0, 1):
        assert json.loads(run(*stack.curl(parity, port=10001)).stdout)["router"] == ROUTERS[0]
    assert run(*stack.curl(0, port=9901, path="/ready")).stdout.strip() == "LIVE"


def check_confined(stack: Stack, service: str) -> None:
    """Asserts what no service may do."""
    found = json.loads(stack.inspect(service, "{{json .}}"))
    host, config = found["HostConfig"], found["Config"]
    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"] > 0
    assert host["NanoCpus"] > 0
    assert host["PidsLimit"] > 0
    assert host["RestartPolicy"]["Name"] == "on-failure"
    assert config["Healthcheck"]["Test"]
    # And so it is inside.
    assert stack.compose("exec", "-T", service, "id", "-u").stdout.strip() == "65534"
    status = stack.compose("exec", "-T", service, "cat", "/proc/self/status").stdout
    assert re.search(r"^CapEff:\s0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s1$", status, re.MULTILINE)
    written = stack.compose("exec", "-T", service, "touch", "/tmp/file", check=False)
    assert "Read-only file system" in written.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_confined(stack: Stack, service: str) -> None:
    check_confined(stack, service)


@pytest.mark.parametrize("parity", [0, 1])
def test_the_profile_test(stack: Stack, parity: int) -> None:
    client = ["test-even", "test-odd"][parity]
    good = stack.compose("run", "--rm", "-T", client)
    assert len(re.findall(f'"{ROUTERS[parity]}"', good.stdout)) == 5
    # Were it routed to the other one, it would say so.
    bad = stack.compose("run", "--rm", "-T", "--env", f"ROUTER={ROUTERS[1 - parity]}", client, check=False)
    assert bad.returncode == 1
    assert "MISROUTED" in bad.stderr


def bench(stack: Stack, override: str = "") -> tuple[int, str]:
    """Runs locust headless with two workers, and returns its exit status and what it wrote."""
    limits = {"LOCUST_HEADLESS": "true", "LOCUST_USERS": "4", "LOCUST_SPAWN_RATE": "4", "LOCUST_RUN_TIME": "4s"}
    arguments = ["up", "--detach", "--scale", "locust-worker=2", "locust", "locust-worker"]
    stack.compose(*arguments, environment=limits | {"BENCH_RATE": "5"}, override=override)
    try:
        status = int(run("docker", "wait", stack.container("locust")).stdout)
        return status, stack.compose("logs", "--no-log-prefix", "locust").stdout
    finally:
        stack.compose("cp", "locust:/reports/.", ".")
        stack.compose("rm", "--stop", "--force", "locust", "locust-worker")


def test_the_profile_bench_headless(stack: Stack, tmp_path: Path) -> None:
    status, log = bench(stack)
    assert status == 0, log
    table = (stack.directory / "locust_stats.csv").read_text()
    for name in ("baseline even", "baseline odd", "wasm even", "wasm odd"):
        assert f"TCP,{name}," in table
    assert "<html" in (stack.directory / "report.html").read_text()


def test_the_profile_bench_fails_for_a_misroute(stack: Stack) -> None:
    swapped = 'services: {locust: {environment: {BENCH_ROUTERS: "egress-router2,egress-router1"}}}'
    status, log = bench(stack, swapped)
    assert status == 1
    assert "MISROUTED" in log


def test_the_profile_bench_has_a_page_and_as_many_workers_as_asked_for(stack: Stack) -> None:
    stack.compose("up", "--detach", "--scale", "locust-worker=3", "locust", "locust-worker")
    try:
        ask = (
            "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8089/', timeout=60).read().decode())"
        )
        assert "<title>Locust" in stack.compose("exec", "-T", "locust", "python3", "-c", ask).stdout
        assert wait_for(lambda: "3 workers connected" in stack.compose("logs", "locust").stdout)
    finally:
        stack.compose("rm", "--stop", "--force", "locust", "locust-worker")


def test_the_profile_observe(stack: Stack) -> None:
    configuration = stack.directory / "observe" / "prometheus.yml"
    configuration.write_text(configuration.read_text().replace(": 15s", ": 1s"))
    stack.compose("up", "--detach", "--wait", "prometheus")

    def api(path: str, **parameters: str) -> Any:
        """Returns what Prometheus answers to a client on the stack's network."""
        asks = ["curl", "--silent", "--get", f"http://prometheus:9090/api/v1/{path}"]
        given = [word for pair in parameters.items() for word in ("--data-urlencode", "=".join(pair))]
        return json.loads(run("docker", "exec", CLIENT_NAMES[0], *asks, *given).stdout)["data"]

    def unanswered() -> list[str]:
        """The dashboard's queries without an answer: an increase needs two samples."""
        return [name for name, expression in queries().items() if not api("query", query=expression)["result"]]

    try:
        check_confined(stack, "prometheus")
        assert wait_for(lambda: stack.answered(0) and stack.answered(1) and not unanswered()), unanswered()
        routed = api("query", query="tcp_routing_routed")["result"]
        assert {sample["metric"]["cluster"] for sample in routed} == set(ROUTERS)
        assert wait_for(lambda: all(rule["health"] == "ok" for rule in api("rules")["groups"][0]["rules"]))
        assert [rule["name"] for rule in api("rules")["groups"][0]["rules"]] == [rule["alert"] for rule in rules()]
        assert [alert for alert in api("alerts")["alerts"] if alert["state"] == "firing"] == []
    finally:
        stack.compose("rm", "--stop", "--force", "prometheus")


def test_nothing_of_this_wrote_an_error(stack: Stack) -> None:
    assert [line for line in stack.log() if "[error]" in line or "[critical]" in line] == []
