"""What runs in the pods, run here: the client's script, and the gateway's configuration in a real Envoy."""

from __future__ import annotations

import os
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from envoy import process, routers
from envoy.client import ask

SCRIPT = Path("k8s/base/client.sh").absolute()
MODULE = Path("filter/filter.wasm").absolute()
ROUTERS = ["egress-router1", "egress-router2"]
_CURL = """\
#!/bin/sh
echo "$@" >> {asked}
case "$*" in *quitquitquit) exit 0 ;; esac
printf '%s' '{answer}'
exit {status}
"""


def client(
    work: Path, answer: str, address: str = "10.244.0.10", status: int = 0, **environment: str
) -> tuple[int, list[str]]:
    """Runs the client's script with a `curl` that gives this answer; returns its exit status and its lines."""
    (work / "curl").write_text(_CURL.format(answer=answer, status=status, asked=work / "asked"))
    (work / "curl").chmod(0o755)
    given = {
        "POD_IP": address,
        "DESTINATION": "http://x/ip",
        "ROUTERS": "near",
        "INTERVAL": "0",
        "COUNT": "2",
    } | environment
    done = subprocess.run(
        ["sh", str(SCRIPT)],
        env={"PATH": f"{work}:{os.environ['PATH']}", **given},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    # The sidecar of a Job is ended, that of a Deployment is not.
    assert (work / "asked").read_text().count("/quitquitquit") == 1
    (work / "asked").unlink()
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(
    ("address", "router"),
    [
        ("10.244.0.10", 1),
        ("10.244.0.255", 2),
        ("fd00::a", 1),
        ("fd00::b", 2),
        ("fd00::", 1),
        ("10.244.0.8", 1),
        ("10.244.0.9", 2),
    ],
)
def test_the_client_knows_its_router(address: str, router: int, tmp_path: Path) -> None:
    answers = [f'{{"router": "{name}"}}' for name in ROUTERS]
    status, lines = client(tmp_path, answers[router - 1], address)
    assert (status, lines) == (0, [f"ok {address} by egress-router{router}: {answers[router - 1]}"] * 2)
    status, lines = client(tmp_path, answers[2 - router], address)
    assert status == 1 and all(line.startswith(f"MISROUTED {address} by egress-router{router}: ") for line in lines)


def test_the_client_tells_a_failure(tmp_path: Path) -> None:
    for kind in ("near", "far"):
        status, lines = client(tmp_path, "curl: (56) reset", status=56, ROUTERS=kind)
        assert (status, lines[0]) == (1, "FAILED 10.244.0.10 by egress-router1: error: curl: (56) reset")
    assert client(tmp_path, "anything", ROUTERS="far")[0] == 0


def test_the_gateway_routes_and_tells_how_it_is(tmp_path: Path) -> None:
    text = Path("k8s/gateway/envoy.yaml").read_text(encoding="utf-8").replace("/etc/wasm/plugin.wasm", str(MODULE))
    with routers.run(ROUTERS) as ports:
        for name, port in ports.items():
            text = text.replace(f"{{address: {name}, port_value: 8080}}", f"{{address: 127.0.0.1, port_value: {port}}}")
        # The admin interface's own port is named twice: where it listens, and where `stats` looks.
        free = free_port()
        text = text.replace("port_value: 9901", f"port_value: {free}")
        for port in (10000, 9902):
            text = text.replace(f"address: 0.0.0.0, port_value: {port}", "address: 127.0.0.1, port_value: 0")
        with process.run(text, tmp_path) as envoy:
            for last, router in enumerate(ROUTERS, start=10):
                assert ask(envoy.listeners["main"], source=f"127.22.0.{last}")[0] == router
            host, port = envoy.listeners["stats"]
            assert get(f"http://{host}:{port}/ready") == "LIVE"
            statistics = get(f"http://{host}:{port}/stats/prometheus")
            assert 'tcp_routing_routed{cluster="egress-router1"} 1' in statistics
            with pytest.raises(urllib.error.HTTPError, match="404") as refused:
                get(f"http://{host}:{port}/quitquitquit")
            refused.value.close()


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode()).strip()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
