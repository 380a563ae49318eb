"""A router in a built module does what its Python does: the same host calls, the same outcome, whatever the proxy refuses."""

from __future__ import annotations

import functools
import ipaddress
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from proxy_wasm import Action, LogLevel
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.lifecycle import Vm
from proxy_wasm.testing.records import DOWNSTREAM, HostStatus
from proxy_wasm.testing.wasm import WasmModule
from tests.host.toolchain_case import build

GUEST = """
import proxy_wasm
from proxy_wasm import Action, FailurePolicy, MetricKind
from proxy_wasm.routing import SourceRouter, SourceTable

def choose(source, argument):
    if argument == "many":
        return f"many{source[-2] * 256 + source[-1]}"
    kind = source[-1]
    if kind == 1:
        raise ValueError("on purpose")
    if kind == 2:
        return None
    if kind == 3:
        return 7
    if kind == 255:
        return Action.PAUSE
    return f"{argument}{kind % 8}"

CONSTANT = [f"constant{i}" for i in range(12)]
seen = []

def keep(source, root):
    if source[-1] % 3 == 0:
        seen.append(source)
    known = source[-1] % 3 != 2 or hash(source) == hash(bytes(bytearray(source)))
    proxy_wasm.info(f"{source!r} {known} {seen[-4:]}")
    return CONSTANT[source[-1] % 12]

def change(source, root):
    # The next connection is another router's.
    root.turn = root.turn + 1
    if root.turn == 2:
        root.stream_context = SourceRouter(change, root)
    if root.turn == 4:
        vars(root)["stream_context"] = root.other
    if root.turn == 6:
        root.other = root.stream_context
        del root.stream_context
    return CONSTANT[root.turn % 12]

def value(text):
    if "/" in text:
        return tuple(value(one) for one in text.split("/"))
    return None if text == "-" else text

def table(one, other, otherwise):
    parts = [family.partition("=") for family in (one, other)]
    ipv4, ipv6 = [
        ([int(start, 16) for start in starts.split(",") if start], [value(one) for one in values.split(",")])
        for starts, _, values in parts
    ]
    return SourceTable(ipv4, ipv6, choose if otherwise == "choose" else None)

class OwnTable(SourceTable):
    def __call__(self, source, argument=None):
        return f"own{super().__call__(source, argument)}"

def changed_table(slot, which):
    table = SourceTable(([0x0A000004], ("below", ("even", "odd"))))
    setattr(table, slot, WRONG[int(which)])
    return table

WRONG = [None, 7, (), b"", ("a", 7), (("a",), ("b",)), b"1234" * 9, choose]
TABLES = {
    "table": table,
    "own": lambda: OwnTable(([0x0A000004], ("below", "above"))),
    "unmade": lambda: SourceTable.__new__(SourceTable),
    "changed": changed_table,
}

class Router(SourceRouter):
    def property_of(self, cluster):
        return (b"guest.cluster", cluster.encode()) if self.argument in ("named", "unset") and cluster[-1] != "7" else None

    def on_unset(self, error):
        proxy_wasm.info(f"unset {error}")
        super().on_unset(error)
        if self.argument == "unset":
            raise OSError("unset")

    def counter_of(self, cluster):
        return proxy_wasm.define_metric(MetricKind.COUNTER, cluster)

    def on_unrouted(self, address):
        proxy_wasm.info(f"unrouted {address!r}")
        return Action.PAUSE if address else None

    def on_failed(self, error, cluster):
        proxy_wasm.info(f"failed {error!r} {error} {cluster!r}")
        if isinstance(error, ValueError):
            raise error
        return 5 if isinstance(error, TypeError) else Action.PAUSE

    def on_uncounted(self, error):
        proxy_wasm.info(f"uncounted {error}")
        super().on_uncounted(error)

def routed(address, cluster):
    proxy_wasm.info(f"{address!r} to {cluster}")
    if cluster.endswith("4"):
        raise OSError("told")

class Root(proxy_wasm.RootContext):
    failure_policy = FailurePolicy.CLOSE
    stream_context = SourceRouter(choose, "plain")

    def on_configure(self, configuration):
        if configuration in (b"keep", b"change"):
            self.turn = 0
            self.stream_context = SourceRouter({b"keep": keep, b"change": change}[configuration], self)
            # The same router under another name too.
            self.other = self.stream_context if configuration == b"keep" else SourceRouter(change, self)
        elif configuration.startswith(b"named "):
            _, name, *arguments = configuration.decode().split(" ")
            self.stream_context = Router(TABLES[name](*arguments), "named")
        elif configuration:
            told = {b"told": routed, b"line": b"%b went to %b."}.get(configuration)
            self.stream_context = Router(choose, configuration.decode(), told)
        return True
"""
ADDRESSES = [
    *(f"10.0.0.{i}:{5000 + i}" for i in range(8)),
    "[::1]:80",
    "[2001:db8::f]:1",
    "[::ffff:10.0.0.9]:2",
    "10.0.0.12:1",
]
ADDRESSES += ["", "/run/x.sock", "/" + "x" * 100, "[fe80::1%" + "z" * 80 + "]:80", "999.1.1.1:80"]
REFUSALS = ["", "get_property", "call_foreign_function", "increment_metric", "define_metric", "log", "set_property"]


class Recorder(Host):
    """A host that notes the host calls, and refuses one kind of them."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = ""
        self.calls: list[tuple[object, ...]] = []
        self.foreign_functions[b"set_envoy_filter_state"] = lambda argument: b"an answer"
        for name in [name for name in dir(Host) if name.startswith("proxy_")]:
            setattr(self, name, functools.partial(self._note, name.removeprefix("proxy_"), getattr(self, name)))

    def _note(self, name: str, call: Callable[..., Any], *arguments: object) -> Any:
        self.calls.append((name, *arguments))
        if name == self.refused:
            raise HostStatus("INTERNAL_FAILURE")
        return call(*arguments)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> WasmModule:
    code = build(tmp_path_factory.mktemp("guest"), {"plugin.py": GUEST + "\nproxy_wasm.register(Root)\n"})
    return WasmModule(code, Recorder(), cache=tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="module")
def in_process() -> Iterator[InProcess]:
    names: dict[str, Any] = {"__name__": "guest"}
    exec(GUEST, names)
    with InProcess(names["Root"], Recorder()) as vm:
        yield vm


@pytest.fixture(scope="module")
def vms(module: WasmModule, in_process: InProcess) -> tuple[Vm, Vm]:
    assert module.start() and in_process.start()
    return module, in_process


def outcome(vm: Vm, source: str | None, refused: str) -> list[object]:
    """Makes a connection and ends it; returns what came of it."""
    host = vm.host
    assert isinstance(host, Recorder)
    host.calls.clear()
    host.refused = refused
    connection = vm.connection(source=None if source is None else source.encode())
    action = connection.new_connection()
    found: list[object] = [action, list(connection.context.closed), *host.calls]
    connection.close()
    host.refused = ""
    return found


def alike(found: list[object]) -> list[object]:
    """Returns an outcome without what differs: the numbers of contexts, and of a traceback all but its last line."""
    return [
        [re.sub(rb"context \d+", b"", value) if isinstance(value, bytes) else value for value in one]
        if isinstance(one, tuple)
        else one
        for one, following in itertools.pairwise([*found, None])
        if not (_is_error(one) and _is_error(following))
    ]


def _is_error(call: object) -> bool:
    return isinstance(call, tuple) and call[:2] == ("log", LogLevel.ERROR)


@pytest.mark.parametrize("refused", REFUSALS)
@pytest.mark.parametrize("configuration", [b"", b"counted", b"named", b"unset", b"told", b"line"])
def test_it_does_what_its_python_does(vms: tuple[Vm, Vm], configuration: bytes, refused: str) -> None:
    for vm in vms:
        assert vm.configure(configuration)
    for source in (*ADDRESSES, None, ADDRESSES[5]):
        compiled, plain = (alike(outcome(vm, source, refused)) for vm in vms)
        assert compiled == plain, source


CLUSTERS = st.sampled_from(["-", "a", "b", "told7", *(f"c{place}" for place in range(12))])
VALUES = st.one_of(CLUSTERS, st.tuples(CLUSTERS, CLUSTERS).map("/".join))


def _near(places: list[int], bits: int) -> st.SearchStrategy[int]:
    """Gives numbers of an axis, often those that begin a block and their neighbours."""
    end = 1 << bits
    close = [place + offset for place in [0, end, *places] for offset in (-1, 0, 1)]
    return st.one_of(st.sampled_from([place for place in close if 0 <= place < end]), st.integers(0, end - 1))


@st.composite
def _tables(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    """Gives a table in the guest's writing, and sources of both families."""
    written, sources = [], []
    for size, address in ((4, ipaddress.IPv4Address), (16, ipaddress.IPv6Address)):
        places = sorted(draw(st.lists(_near([7 << 8 * size - 8], 8 * size), max_size=draw(st.sampled_from([4, 40])))))
        values = draw(st.lists(VALUES, min_size=len(places) + 1, max_size=len(places) + 1))
        written.append(f"{','.join(map(hex, places))}={','.join(values)}")
        found = draw(st.lists(_near(places, 8 * size), min_size=3, max_size=3))
        sources += [f"[{address(place)}]:1" if size == 16 else f"{address(place)}:1" for place in found]
    otherwise = draw(st.sampled_from(["choose", "nothing"]))
    return f"named table {' '.join(written)} {otherwise}".encode(), sources


@settings(max_examples=150, suppress_health_check=[*HealthCheck], deadline=None)
@given(_tables(), st.sampled_from(REFUSALS))
@example((b"named table 0x0a000004=a,- =- choose", [f"10.0.0.{last}:1" for last in range(8)] * 2), "")
def test_a_table_says_what_its_python_says(vms: tuple[Vm, Vm], table: tuple[bytes, list[str]], refused: str) -> None:
    """The blocks' edges, both families, and what the table leaves to a function, whatever the proxy refuses."""
    configuration, sources = table
    for vm in vms:
        assert vm.configure(configuration)
    for source in (*sources, "/run/x.sock"):
        compiled, plain = (alike(outcome(vm, source, refused)) for vm in vms)
        assert compiled == plain, source


@pytest.mark.parametrize("slot", ["ipv4_starts", "ipv4_values", "otherwise"])
@pytest.mark.parametrize("wrong", range(8))
def test_a_table_that_was_changed_is_pythons(vms: tuple[Vm, Vm], slot: str, wrong: int) -> None:
    _alike_for(vms, f"changed {slot} {wrong}")


def test_a_table_of_another_class_is_pythons(vms: tuple[Vm, Vm]) -> None:
    _alike_for(vms, "own")


def test_a_table_without_its_slots_is_pythons(vms: tuple[Vm, Vm]) -> None:
    for vm in vms:
        assert vm.configure(b"named unmade")
        action, closed, *calls = outcome(vm, "10.0.0.3:1", "")
        assert (action, closed, len(calls)) == (Action.PAUSE, [], 2)
        assert "AttributeError" in str(calls[1]) and "ipv4_starts" in str(calls[1])


def _alike_for(vms: tuple[Vm, Vm], made: str) -> None:
    for vm in vms:
        assert vm.configure(f"named {made}".encode())
    for source in ("10.0.0.3:1", "10.0.0.4:1", "10.0.0.5:1", "[::5]:1"):
        compiled, plain = (alike(outcome(vm, source, "")) for vm in vms)
        assert compiled == plain, source


@pytest.mark.parametrize("configuration", [b"keep", b"change"])
def test_what_the_function_does_to_its_address_or_its_root(vms: tuple[Vm, Vm], configuration: bytes) -> None:
    """The boundary keeps the address's object, and where the root has its router."""
    for vm in vms:
        assert vm.configure(configuration)
    sources = [f"10.0.0.{i}:1" for i in (3, 4, 5, 5, 4, 3, 8, 11, *range(40, 20, -1))]
    compiled, plain = ([alike(outcome(vm, source, "")) for source in sources] for vm in vms)
    assert compiled == plain


def test_what_it_does(vms: tuple[Vm, Vm]) -> None:
    """So that both are not wrong alike."""
    vm = vms[0]
    assert vm.configure(b"counted")
    outcome(vm, "10.0.0.5:1", "")
    calls = [call[0] for call in outcome(vm, "10.0.0.5:1", "") if isinstance(call, tuple)]
    assert calls == ["get_property", "call_foreign_function", "increment_metric"]
    assert vm.host.foreign_calls[-1][2].endswith(b"counted5")
    assert outcome(vm, "10.0.0.1:1", "")[:2] == [Action.PAUSE, [DOWNSTREAM]]
    assert outcome(vm, "10.0.0.2:1", "")[:2] == [Action.CONTINUE, []]


def test_what_a_table_does(vms: tuple[Vm, Vm]) -> None:
    vm = vms[0]
    assert vm.configure(b"named table 0x0a00000a=below,even7/odd =ipv6 choose")
    for source, cluster, named in (
        ("10.0.0.9:1", "below", True),
        ("10.0.0.10:1", "even7", False),
        ("[::1]:1", "ipv6", True),
    ):
        outcome(vm, source, "")
        calls = [call[0] for call in outcome(vm, source, "") if isinstance(call, tuple)]
        assert calls == ["get_property", *["set_property"] * named, "call_foreign_function", "increment_metric"]
        assert vm.host.foreign_calls[-1][2].endswith(cluster.encode())


def test_many_at_once(vms: tuple[Vm, Vm]) -> None:
    """More than the boundary has places for: those come to Python, and know their router."""
    for vm in vms:
        assert vm.configure(b"counted")
        vm.host.foreign_calls.clear()
        connections = [vm.connection(source=f"10.0.{i // 250}.{5 + i % 250}:1") for i in range(1500)]
        for connection in connections:
            assert connection.new_connection() == Action.CONTINUE
        for connection in connections:
            connection.close()
        assert len(vm.host.foreign_calls) == 1500


def test_more_clusters_than_are_kept(vms: tuple[Vm, Vm]) -> None:
    for vm in vms:
        assert vm.configure(b"many")
        vm.host.foreign_calls.clear()
        for number in [*range(300), 0, 299]:
            assert vm.connection(source=f"10.0.{number // 256}.{number % 256}:1").new_connection() == Action.CONTINUE
        assert [call[2].partition(b"many")[2] for call in vm.host.foreign_calls] == [
            b"%d" % number for number in (*range(300), 0, 299)
        ]


def test_a_replaced_router_is_let_go(module: WasmModule) -> None:
    """A configuration that comes while connections do: memory does not grow."""
    for _ in range(20):
        assert module.configure(b"counted")
    before = module.memory_pages
    for _ in range(300):
        assert module.configure(b"counted")
        module.connection(source="10.0.0.6:1").new_connection()
    assert module.memory_pages == before
