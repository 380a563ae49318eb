"""Every host call, from the SDK's function to the host and back; every status, from the number to the exception."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import pytest

import proxy_wasm
from proxy_wasm import Action, Buffer, HeaderMap, LogLevel, MetricKind
from proxy_wasm.testing.abi import HOST_CALLS, STATUS
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.records import DOWNSTREAM, UPSTREAM, HostStatus

GET = {":method": "GET", ":path": "/", ":authority": "example"}


@pytest.fixture
def vm() -> Iterator[InProcess]:
    with InProcess(proxy_wasm.RootContext) as vm:
        vm.start()
        vm.host.context_id = vm.root.context_id
        yield vm


def test_log(vm: InProcess) -> None:
    for level in LogLevel:
        getattr(proxy_wasm, level.name.lower())(f"line {level}")
    proxy_wasm.log(LogLevel.INFO, b"bytes")
    assert vm.host.logs == [*((int(level), f"line {level}") for level in LogLevel), (2, "bytes")]
    with pytest.raises(proxy_wasm.BadArgumentError):
        proxy_wasm.log(9, "?")


def test_log_level(vm: InProcess) -> None:
    vm.host.log_level = LogLevel.WARN
    assert proxy_wasm.get_log_level() == LogLevel.WARN
    assert [proxy_wasm.log_enabled(level) for level in LogLevel] == [False, False, False, True, True, True]


def test_properties(vm: InProcess) -> None:
    path = proxy_wasm.property_path("source", b"address")
    assert path == b"source\0address"
    assert proxy_wasm.get_property(path) is None
    with pytest.raises(proxy_wasm.NotFoundError):
        proxy_wasm.set_property("name", b"a root has no connection to keep it")
    connection = vm.connection(source="10.0.0.1:5")
    vm.host.context_id = connection.context_id
    proxy_wasm.set_property("name", b"")
    assert proxy_wasm.get_property("name") == b""
    proxy_wasm.set_property(path, "what the proxy knows is not hidden")
    assert proxy_wasm.get_property(path) == b"10.0.0.1:5"


def test_buffers(vm: InProcess) -> None:
    assert proxy_wasm.get_buffer(Buffer.DOWNSTREAM_DATA) == b""
    assert proxy_wasm.get_buffer_status(Buffer.DOWNSTREAM_DATA) == (0, 0)
    assert proxy_wasm.get_buffer(Buffer.HTTP_CALL_RESPONSE_BODY) is None
    assert proxy_wasm.get_buffer_status(Buffer.PLUGIN_CONFIGURATION) is None
    vm.root.buffers[Buffer.DOWNSTREAM_DATA] = b"abcdef"
    assert proxy_wasm.get_buffer_status(Buffer.DOWNSTREAM_DATA) == (6, 0)
    assert proxy_wasm.get_buffer(Buffer.DOWNSTREAM_DATA, 4) == b"ef"
    assert proxy_wasm.get_buffer(Buffer.DOWNSTREAM_DATA, 1, 2) == b"bc"
    proxy_wasm.set_buffer(Buffer.DOWNSTREAM_DATA, 0, 2, b"XYZ")
    proxy_wasm.set_buffer(Buffer.DOWNSTREAM_DATA, 99, 0, b"!")
    assert proxy_wasm.get_buffer(Buffer.DOWNSTREAM_DATA) == b"XYZcdef!"
    with pytest.raises(proxy_wasm.BadArgumentError):
        proxy_wasm.set_buffer(Buffer.DOWNSTREAM_DATA, 1, 1, b"")
    with pytest.raises(proxy_wasm.BadArgumentError):
        proxy_wasm.set_buffer(Buffer.UPSTREAM_DATA, 0, 0, b"")
    with pytest.raises(proxy_wasm.NotFoundError):
        proxy_wasm.set_buffer(Buffer.HTTP_CALL_RESPONSE_BODY, 0, 0, b"")


def test_streams(vm: InProcess) -> None:
    proxy_wasm.continue_downstream()
    with pytest.raises(proxy_wasm.UnimplementedError):
        proxy_wasm.continue_upstream()
    proxy_wasm.close_upstream()
    proxy_wasm.close_downstream()
    assert vm.root.continued == [DOWNSTREAM]
    assert vm.root.closed == [UPSTREAM, DOWNSTREAM]


def test_foreign_functions(vm: InProcess) -> None:
    vm.host.foreign_functions[b"reverse"] = lambda argument: argument[::-1]
    assert proxy_wasm.call_foreign_function("reverse", b"abc") == b"cba"
    assert vm.host.foreign_calls == [(vm.root.context_id, b"reverse", b"abc")]
    with pytest.raises(proxy_wasm.NotFoundError) as raised:
        proxy_wasm.call_foreign_function(b"other", b"")
    assert (raised.value.call, raised.value.status) == ("proxy_call_foreign_function", 1)


def test_shared_data(vm: InProcess) -> None:
    assert proxy_wasm.get_shared_data("key") is None
    proxy_wasm.set_shared_data("key", b"one")
    found = proxy_wasm.get_shared_data("key")
    assert found is not None
    value, cas = found
    assert value == b"one"
    proxy_wasm.set_shared_data("key", b"two", cas)
    with pytest.raises(proxy_wasm.CasMismatchError):
        proxy_wasm.set_shared_data("key", b"three", cas)
    assert vm.host.shared_data[b"key"][0] == b"two"


def test_queues(vm: InProcess) -> None:
    vm.host.vm_id = b"vm"
    queue = proxy_wasm.register_shared_queue("work")
    assert proxy_wasm.register_shared_queue("work") == queue
    assert proxy_wasm.resolve_shared_queue("vm", "work") == queue
    assert proxy_wasm.resolve_shared_queue("vm", "play") is None
    assert proxy_wasm.dequeue_shared_queue(queue) is None
    proxy_wasm.enqueue_shared_queue(queue, b"1")
    proxy_wasm.enqueue_shared_queue(queue, "2")
    assert [proxy_wasm.dequeue_shared_queue(queue) for _ in range(3)] == [b"1", b"2", None]
    with pytest.raises(proxy_wasm.NotFoundError):
        proxy_wasm.dequeue_shared_queue(99)


def test_metrics(vm: InProcess) -> None:
    counter, gauge, histogram = (proxy_wasm.define_metric(kind, kind.name) for kind in MetricKind)
    proxy_wasm.increment_metric(counter, 1)
    proxy_wasm.increment_metric(counter, 4)
    assert proxy_wasm.get_metric(counter) == 5
    with pytest.raises(proxy_wasm.BadArgumentError):
        proxy_wasm.increment_metric(counter, -1)
    proxy_wasm.record_metric(gauge, 2**40)
    proxy_wasm.increment_metric(gauge, -1)
    assert proxy_wasm.get_metric(gauge) == 2**40 - 1
    proxy_wasm.record_metric(histogram, 7)
    assert vm.host.metrics[histogram].records == [7]
    assert proxy_wasm.get_metric(proxy_wasm.define_metric(MetricKind.GAUGE, "GAUGE")) == 2**40 - 1
    assert len({metric.name for metric in vm.host.metrics.values()}) == 3
    with pytest.raises(proxy_wasm.NotFoundError):
        proxy_wasm.get_metric(400)


def test_time(vm: InProcess) -> None:
    proxy_wasm.set_tick_period(250)
    assert vm.host.tick_periods == {vm.root.context_id: 250}
    assert proxy_wasm.current_time_nanoseconds() == vm.host.now


def test_http_call(vm: InProcess) -> None:
    vm.host.clusters = {b"auth"}
    call = proxy_wasm.http_call("auth", GET, "body", [("t", b"1")], timeout_milliseconds=10)
    made = vm.host.http_calls[call]
    assert made.headers == [(name.encode(), value.encode()) for name, value in GET.items()]
    assert (made.body, made.trailers, made.timeout_milliseconds) == (b"body", [(b"t", b"1")], 10)
    for cluster, headers in (("nowhere", GET), ("auth", {})):
        with pytest.raises(proxy_wasm.BadArgumentError):
            proxy_wasm.http_call(cluster, headers)


def test_header_maps(vm: InProcess) -> None:
    assert proxy_wasm.get_header_map(HeaderMap.HTTP_CALL_RESPONSE_HEADERS) == []
    with pytest.raises(proxy_wasm.BadArgumentError):
        proxy_wasm.get_header(HeaderMap.HTTP_CALL_RESPONSE_HEADERS, ":status")
    pairs = [(b":status", b"200"), (b"x", b""), (b"x", b"\0\n")]
    vm.root.header_maps[HeaderMap.HTTP_CALL_RESPONSE_HEADERS] = pairs
    assert proxy_wasm.get_header_map(HeaderMap.HTTP_CALL_RESPONSE_HEADERS) == pairs
    assert proxy_wasm.get_header(HeaderMap.HTTP_CALL_RESPONSE_HEADERS, ":status") == b"200"
    assert proxy_wasm.get_header(HeaderMap.HTTP_CALL_RESPONSE_HEADERS, "y") is None


def test_effective_context() -> None:
    class Root(proxy_wasm.RootContext):
        def on_tick(self) -> None:
            proxy_wasm.set_effective_context(2)
            proxy_wasm.close_downstream()
            proxy_wasm.set_effective_context(0)
            proxy_wasm.close_upstream()

    with InProcess(Root) as vm:
        vm.start()
        connection = vm.connection()
        vm.tick()
        assert connection.context.closed == [DOWNSTREAM]
        assert vm.root.closed == [UPSTREAM]
        assert vm.host.effective_context_id == 0
        assert connection.new_connection() == Action.CONTINUE
        with pytest.raises(proxy_wasm.BadArgumentError):
            proxy_wasm.set_effective_context(99)


def test_done() -> None:
    class Root(proxy_wasm.RootContext):
        def on_done(self) -> bool:
            return False

        def on_tick(self) -> None:
            proxy_wasm.done()

        def on_delete(self) -> None:
            proxy_wasm.info("deleted")

    with InProcess(Root) as vm:
        vm.start()
        vm.tick()
        assert "NotFoundError: proxy_done: status 1" in vm.host.lines(4)[-1]
        assert not vm.shutdown()
        assert "deleted" not in vm.host.lines()
        vm.tick()
        assert vm.host.lines()[-1] == "deleted"
        assert vm.root.context_id not in vm.host.contexts


class Refusing(Host):
    """A host whose foreign functions answer with the status asked for."""

    def proxy_call_foreign_function(self, name: bytes, argument: bytes) -> NoReturn:
        raise HostStatus(name.decode())


@pytest.mark.parametrize("name", [name for name in STATUS if name != "OK"])
def test_every_status_has_its_exception(name: str) -> None:
    with InProcess(proxy_wasm.RootContext, Refusing()):
        with pytest.raises(proxy_wasm.HostError) as raised:
            proxy_wasm.call_foreign_function(name, b"")
        expected = "".join(word.capitalize() for word in name.split("_")) + "Error"
        assert type(raised.value) is getattr(proxy_wasm, expected)
        assert expected in proxy_wasm.__all__
        assert raised.value.status == STATUS[name]
        assert str(raised.value) == f"proxy_call_foreign_function ({name}): status {STATUS[name]}"


def test_a_status_nobody_knows_is_a_host_error() -> None:
    with pytest.raises(proxy_wasm.HostError) as raised:
        proxy_wasm._errors.raise_for_status("proxy_log", 77)
    assert type(raised.value) is proxy_wasm.HostError


def test_the_host_answers_every_call_of_the_table() -> None:
    assert {name for name in dir(Host) if name.startswith("proxy_")} == set(HOST_CALLS)


def test_without_a_host_calls_are_unimplemented() -> None:
    with pytest.raises(proxy_wasm.UnimplementedError, match="there is no proxy at build time; call it in on_configure"):
        proxy_wasm.get_property("x")


def test_wrong_arguments(vm: InProcess) -> None:
    with pytest.raises(TypeError, match="proxy_get_property: path must be str or bytes, not int"):
        proxy_wasm.get_property(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="proxy_get_property"):
        proxy_wasm.get_property()  # type: ignore[call-arg]
    with pytest.raises(OverflowError, match="proxy_set_tick_period_milliseconds: milliseconds is out of range"):
        proxy_wasm.set_tick_period(-1)
    with pytest.raises(TypeError, match="proxy_log: level must be int, not str"):
        proxy_wasm.log("info", "x")  # type: ignore[arg-type]


class Restricted(Host):
    """A host that lets a filter neither log nor count, as Envoy's `capability_restriction_config` may have it."""

    def proxy_log(self, level: int, message: bytes) -> None:
        raise HostStatus("INTERNAL_FAILURE")

    def proxy_get_log_level(self) -> int:
        raise HostStatus("INTERNAL_FAILURE")

    def proxy_increment_metric(self, metric: int, offset: int) -> None:
        raise HostStatus("INTERNAL_FAILURE")

    def proxy_record_metric(self, metric: int, value: int) -> None:
        raise HostStatus("INTERNAL_FAILURE")


def test_a_line_that_the_host_refuses_decides_nothing_and_a_count_tells() -> None:
    class Root(proxy_wasm.RootContext):
        def on_configure(self, configuration: bytes) -> bool:
            proxy_wasm.info("a line")
            print("another")
            counter = proxy_wasm.define_metric(MetricKind.COUNTER, "counter")
            with pytest.raises(proxy_wasm.InternalFailureError):
                proxy_wasm.increment_metric(counter, 1)
            with pytest.raises(proxy_wasm.InternalFailureError):
                proxy_wasm.record_metric(counter, 1)
            with pytest.raises(proxy_wasm.InternalFailureError):
                proxy_wasm.log(LogLevel.INFO, "the host call itself")
            return proxy_wasm.log_enabled(LogLevel.TRACE)

    with InProcess(Root, Restricted()) as vm:
        assert vm.start()
