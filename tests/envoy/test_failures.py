"""What becomes of connections when something goes wrong: the rows of the table in envoy/README.md, on a real Envoy.

The faulty filter (guests/faulty.py) is in several listeners with one VM: for the two failure policies of the SDK, which hold
where Python raises, and for Envoy's own three, which hold where the VM traps. The real filter has a VM of its own beside it. The tests
run in this order: those that break more come later.
"""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from envoy import configuration, memory, process, routers
from envoy.client import Held
from envoy.configuration import MAIN
from filter.routing import ISTIO
from tests.envoy.conftest import MODULE, ROUTERS, wait_for
from tests.envoy.guests.faults import source

FAULTY = Path("tests/envoy/guests/faulty.wasm").absolute()
DEFAULT = ROUTERS[0]
MEGABYTE, GIGABYTE = 1 << 20, 1 << 30
BACKOFF_SECONDS = 3

ANSWER = {"open": DEFAULT, "closed": ""}
"""Where a connection ends whose callback raised, by the listener and its failure policy: tcp_proxy's cluster, or nowhere."""
RAISING = {
    "raises": "RuntimeError: on purpose",
    "recurses": "RecursionError",
    "exits": "RuntimeError: this would end the VM",
    "sets_a_bad_value": "BadArgumentError",
    "sets_an_unknown_path": "NotFoundError",
    "calls_an_unknown_function": "NotFoundError",
}
# Envoy's own policy by listener; the others have FAIL_RELOAD.
VM_POLICIES = {"vm_open": "FAIL_OPEN", "vm_closed": "FAIL_CLOSED"}

Record = Callable[[str, object], None]


def add_faulty(made: configuration.Configuration, name: str, root_id: str, policy: str = "FAIL_RELOAD") -> None:
    """Adds a listener with the faulty filter."""
    configuration.add_listener(made, name)
    plugin = configuration.plugin(made, name)
    plugin.update({"name": name, "root_id": root_id, "failure_policy": policy})
    plugin["reload_config"] = {"backoff": {"base_interval": f"{BACKOFF_SECONDS}s"}}
    if policy != "FAIL_RELOAD":
        del plugin["reload_config"]
    plugin["vm_config"] |= {"vm_id": "faulty", "code": {"local": {"filename": str(FAULTY)}}}


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    with routers.run(ROUTERS, "tests.load.echo") as running:
        yield running


@pytest.fixture(scope="module")
def backend() -> Iterator[socket.socket]:
    """A backend in the tests' own hands, of listener `vm_closed`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture(scope="module")
def access_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("envoy") / "access.log"


@pytest.fixture(scope="module")
def envoy(ports: dict[str, int], backend: socket.socket, access_log: Path) -> Iterator[process.Envoy]:
    made = configuration.for_loopback(MODULE, ports, access_log)
    for root_id in ANSWER:
        add_faulty(made, root_id, root_id)
    for name, policy in VM_POLICIES.items():
        add_faulty(made, name, "open", policy)
    # The real filter again, with clusters of which one has no living endpoint and the other does not exist.
    configuration.add_listener(made, "istio")
    configuration.plugin(made, "istio")["configuration"]["value"] = "istio"
    log = configuration.tcp_proxy(made, "istio")["access_log"][0]["typed_config"]
    log["log_format"]["text_format_source"]["inline_string"] = "istio %RESPONSE_FLAGS%\n"
    configuration.add_cluster(made, ISTIO.clusters[0], [dead_port()])
    configuration.add_cluster(made, "backend", [backend.getsockname()[1]])
    configuration.tcp_proxy(made, "vm_closed")["cluster"] = "backend"
    # One worker: every connection of the faulty filter is in the same VM.
    with process.run(made, access_log.parent) as running:
        yield running


def dead_port() -> int:
    """Returns a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def connect(envoy: process.Envoy, listener: str, fault: str = "none", timeout: float = 60) -> Held:
    return Held(envoy.listeners[listener], source(fault), timeout)


def reached(envoy: process.Envoy, listener: str, fault: str = "none", timeout: float = 60) -> str:
    with connect(envoy, listener, fault, timeout) as connection:
        return connection.name


@contextlib.contextmanager
def undisturbed(envoy: process.Envoy, *listeners: str) -> Iterator[None]:
    """Holds that connections which were there before are there afterwards, and that new ones come through."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(envoy, listener)) for listener in listeners]
        assert all(connection.echoes() for connection in held)
        yield
        assert all(connection.echoes() for connection in held)
        assert [reached(envoy, listener) for listener in listeners] == [DEFAULT] * len(listeners)


# ---- Python raises: the SDK's failure policy


@pytest.mark.parametrize("policy", ANSWER)
@pytest.mark.parametrize("fault", RAISING)
def test_an_exception_is_logged_and_the_filters_policy_decides(
    envoy: process.Envoy, fault: str, policy: str, record_property: Record
) -> None:
    seen = len(envoy.log_lines())
    with undisturbed(envoy, MAIN, *ANSWER):
        assert [reached(envoy, policy, fault) for _ in range(3)] == [ANSWER[policy]] * 3
    logged = [line for line in envoy.log_lines()[seen:] if "[error]" in line and "proxy_on_new_connection" in line]
    assert len([line for line in logged if line.endswith("Traceback (most recent call last):")]) == 3
    assert len([line for line in logged if RAISING[fault] in line]) == 3
    assert any('File "tests/envoy/guests/faulty.py"' in line and line.endswith(f"in {fault}") for line in logged)
    record_property("connections", 9)
    record_property("faults", 3)
    record_property("others lost", 0)


def test_an_absent_property_is_none(envoy: process.Envoy) -> None:
    assert reached(envoy, "closed", "reads_an_absent_property") == DEFAULT
    assert wait_for(lambda: bool(envoy.log_lines("absent: None")))


# ---- nothing raises: the cluster is the trouble


@pytest.mark.parametrize(
    ("address", "flag", "counter"),
    [
        ("127.22.0.10", "UF,URX", "cluster.{}.upstream_cx_connect_fail"),
        ("127.22.0.11", "NC", "tcp.destination.downstream_cx_no_route"),
    ],
    ids=["all endpoints down", "missing cluster"],
)
def test_a_cluster_that_cannot_take_the_connection(
    envoy: process.Envoy, access_log: Path, address: str, flag: str, counter: str, record_property: Record
) -> None:
    cluster = ISTIO.clusters[int(address[-1])]
    before = envoy.counter(counter.format(re.escape(cluster)))
    with undisturbed(envoy, MAIN):
        for _ in range(3):
            with Held(envoy.listeners["istio"], address) as connection:
                assert connection.name == ""
        assert wait_for(lambda: access_log.read_text().count(f"istio {flag}\n") == 3)
        assert envoy.counter(counter.format(re.escape(cluster))) == before + 3
    assert len(envoy.log_lines(f" to {cluster}")) == 3
    record_property("connections", 3)
    record_property("others lost", 0)


# ---- the VM traps: Envoy's failure policy


def is_back(envoy: process.Envoy, listener: str) -> bool:
    return wait_for(lambda: reached(envoy, listener) == DEFAULT, 60)


def test_a_trap_ends_the_vms_connections_and_envoys_policy_decides_about_new_ones(
    envoy: process.Envoy, backend: socket.socket, record_property: Record
) -> None:
    with undisturbed(envoy, MAIN), contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(envoy, name)) for name in (*ANSWER, "vm_open")]
        client = stack.enter_context(socket.create_connection(envoy.listeners["vm_closed"], 60, (source("none"), 0)))
        upstream = stack.enter_context(backend.accept()[0])
        upstream.sendall(b".")
        assert client.recv(1) == b"."
        assert all(connection.echoes() for connection in held)
        assert reached(envoy, "open", "traps") == ""
        assert envoy.log_lines("Function: proxy_on_new_connection failed: Uncaught RuntimeError: unreachable")
        # Nobody closes the VM's other connections, of whatever listener: they end with their next byte, from either side.
        assert all(connection.is_quiet() for connection in held)
        assert not any(connection.echoes() for connection in held)
        upstream.sendall(b".")
        assert client.recv(1) == b""
        # FAIL_OPEN: without a filter from now on. FAIL_CLOSED: never again. FAIL_RELOAD: a new VM.
        assert is_back(envoy, "open")
        assert [reached(envoy, "vm_open", fault) for fault in ("none", "raises", "traps")] == [DEFAULT] * 3
        assert [reached(envoy, "vm_closed") for _ in range(3)] == [""] * 3
        assert is_back(envoy, "closed")
        assert reached(envoy, "closed", "raises") == ""  # the filter, and not only the listener
    assert envoy.counter("wasm.open.vm_reload_success") == 1
    record_property("connections of the VM", len(held) + 1)
    record_property("others lost", 0)


def test_reloads_are_an_interval_apart(envoy: process.Envoy, record_property: Record) -> None:
    assert is_back(envoy, "open")
    # Envoy draws a pause from one to one and a half intervals, and counts it from the VM's last start.
    time.sleep(1.5 * BACKOFF_SECONDS)
    closed = 0
    with undisturbed(envoy, MAIN):
        before = envoy.counter("wasm.open.vm_reload_success"), envoy.counter("wasm.open.vm_reload_backoff")
        assert reached(envoy, "open", "traps") == ""
        assert reached(envoy, "open") == DEFAULT  # it has been up for long: at once
        assert reached(envoy, "open", "traps") == ""
        deadline = time.monotonic() + 60
        while reached(envoy, "open") == "" and time.monotonic() < deadline:
            closed += 1
            time.sleep(0.05)
        assert closed
        assert reached(envoy, "open") == DEFAULT
        after = envoy.counter("wasm.open.vm_reload_success"), envoy.counter("wasm.open.vm_reload_backoff")
    assert after == (before[0] + 2, before[1] + closed)
    record_property("faults", 2)
    record_property("closed meanwhile", closed)
    record_property("others lost", 0)


def test_a_pause_of_a_millisecond_ends_envoy(ports: dict[str, int], tmp_path: Path) -> None:
    made = configuration.for_loopback(MODULE, ports, tmp_path / "access.log")
    add_faulty(made, "open", "open")
    configuration.plugin(made, "open")["reload_config"]["backoff"]["base_interval"] = "0.001s"
    with process.run(made, tmp_path) as running:
        assert reached(running, "open", "traps") == ""
        with contextlib.suppress(OSError):
            reached(running, "open")
        assert running.process.wait(60) == -signal.SIGFPE


def test_memory_grows_to_v8s_limit_and_only_a_new_vm_gives_it_back(
    envoy: process.Envoy, record_property: Record
) -> None:
    def largest() -> int:
        return max(memory.linear(envoy.process.pid))

    def resident() -> str:
        return f"{memory.resident(envoy.process.pid) / MEGABYTE:.0f} MiB"

    assert is_back(envoy, "open")
    before = largest()
    record_property("resident before", resident())
    with undisturbed(envoy, MAIN):
        # MemoryError comes when the next piece does not fit, and is an exception like others.
        for fault in ("eats_memory", "keeps_memory"):
            for policy in ANSWER:
                assert reached(envoy, policy, fault) == ANSWER[policy]
            assert envoy.log_lines(f"in {fault}")
            assert GIGABYTE - 32 * MEGABYTE < largest() <= GIGABYTE
        record_property("with a VM at its limit", resident())
        # What Python frees is free for Python: the memory stays the VM's.
        assert reached(envoy, "open", "forgets") == DEFAULT
        assert largest() > GIGABYTE - 32 * MEGABYTE
        # A new VM starts small; the old one goes when the last plugin has left it.
        assert reached(envoy, "open", "traps") == ""
        assert is_back(envoy, "open")
        assert is_back(envoy, "closed")
        assert wait_for(lambda: largest() == before, 30)
        record_property("after its reload", resident())
    record_property("others lost", 0)


# ---- the filter never comes back: Envoy's watchdog


def test_a_filter_that_loops_takes_its_worker_along_until_the_watchdog_ends_envoy(
    ports: dict[str, int], tmp_path: Path, record_property: Record
) -> None:
    made = configuration.for_loopback(MODULE, ports, tmp_path / "access.log")
    add_faulty(made, "open", "open")
    timeouts = {"miss_timeout": "0.5s", "megamiss_timeout": "2s", "kill_timeout": "20s"}
    made["watchdogs"] = {"worker_watchdog": timeouts}
    with (
        process.run(made, tmp_path, workers=2) as envoy,
        ThreadPoolExecutor(40) as pool,
        contextlib.ExitStack() as stack,
    ):

        def answered(_: int) -> bool:
            try:
                return reached(envoy, MAIN, timeout=3) == DEFAULT
            except TimeoutError:
                return False

        held = [stack.enter_context(connect(envoy, MAIN, timeout=3)) for _ in range(40)]
        assert all(connection.echoes() for connection in held)
        with pytest.raises(TimeoutError):
            reached(envoy, "open", "loops", timeout=1)
        alive = list(pool.map(Held.echoes, held))
        # The kernel goes on giving every worker its share of new connections.
        new = list(pool.map(answered, range(40)))
        assert alive == list(pool.map(Held.echoes, held))
        assert 0 < sum(alive) < 40
        assert 0 < sum(new) < 40
        assert wait_for(lambda: envoy.counter("workers.watchdog_mega_miss") == 1, 15)
        assert envoy.process.wait(120) == -signal.SIGABRT
    record_property("held that go on", f"{sum(alive)} of 40")
    record_property("new ones answered", f"{sum(new)} of 40")
