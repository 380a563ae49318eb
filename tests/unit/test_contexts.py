"""Every callback reaches its method, in Envoy's order, and the contexts live and end with it."""

from __future__ import annotations

from typing import Any

import proxy_wasm
from proxy_wasm import Action, Buffer, PeerType, _dispatch
from proxy_wasm.testing.abi import CALLBACKS
from proxy_wasm.testing.boundary import BOUNDARY
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.records import LOCAL

SEEN: list[tuple[Any, ...]] = []


class Stream(proxy_wasm.StreamContext):
    def __init__(self, context_id: int, root: proxy_wasm.RootContext) -> None:
        super().__init__(context_id, root)
        SEEN.append(("stream", context_id, root.context_id))

    def on_new_connection(self) -> Action:
        SEEN.append(("new_connection",))
        return Action.PAUSE

    def on_downstream_data(self, size: int, end_of_stream: bool) -> Action:
        SEEN.append(("downstream_data", size, end_of_stream, proxy_wasm.get_buffer(Buffer.DOWNSTREAM_DATA)))
        return Action.PAUSE if size < 5 else Action.CONTINUE

    def on_upstream_data(self, size: int, end_of_stream: bool) -> None:
        SEEN.append(("upstream_data", size, end_of_stream, proxy_wasm.get_buffer(Buffer.UPSTREAM_DATA, 1, 2)))

    def on_downstream_connection_close(self, peer: PeerType) -> None:
        SEEN.append(("downstream_close", peer))

    def on_upstream_connection_close(self, peer: PeerType) -> None:
        SEEN.append(("upstream_close", peer))

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        SEEN.append(("stream response", call, header_count, body_size, trailer_count))

    def on_done(self) -> bool:
        SEEN.append(("done",))
        return True

    def on_log(self) -> None:
        SEEN.append(("log",))

    def on_delete(self) -> None:
        SEEN.append(("delete",))


class Root(proxy_wasm.RootContext):
    stream_context = Stream
    ready = False

    def on_vm_start(self, configuration: bytes) -> bool:
        SEEN.append(("vm_start", configuration))
        return True

    def on_configure(self, configuration: bytes) -> bool:
        SEEN.append(("configure", configuration))
        return configuration != b"bad"

    def on_tick(self) -> None:
        SEEN.append(("tick", self.context_id))

    def on_queue_ready(self, queue: int) -> None:
        SEEN.append(("queue", proxy_wasm.dequeue_shared_queue(queue)))

    def on_foreign_function(self, function_id: int, argument: bytes) -> None:
        SEEN.append(("foreign", function_id, argument))

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        SEEN.append(("root response", call, header_count, body_size, trailer_count))

    def on_done(self) -> bool:
        SEEN.append(("root done",))
        return self.ready

    def on_log(self) -> None:
        SEEN.append(("root log",))

    def on_delete(self) -> None:
        SEEN.append(("root delete",))


def test_all_callbacks_are_exported() -> None:
    with InProcess(Root) as vm:
        contexts = {"root", "stream"}
        of_tcp = {c.name for c in CALLBACKS.values() if contexts & set(c.contexts) and "grpc" not in c.name}
        assert vm.exports == of_tcp


def test_a_connection() -> None:
    SEEN.clear()
    with InProcess(Root) as vm:
        assert vm.start(b"vm", b"plugin")
        connection = vm.connection(early_data=True)
        assert connection.new_connection() == Action.PAUSE
        assert connection.downstream_data(b"abc") == Action.PAUSE
        assert connection.downstream_data(b"def", end_of_stream=True) == Action.CONTINUE
        assert connection.upstream_data(b"xyz") == Action.CONTINUE
        vm.call("proxy_on_upstream_connection_close", connection.context_id, 7)
        connection.close(LOCAL)
        assert not _dispatch.streams
    assert SEEN == [
        ("vm_start", b"vm"),
        ("configure", b"plugin"),
        ("stream", 2, 1),
        ("new_connection",),
        ("downstream_data", 3, False, b"abc"),
        ("downstream_data", 6, True, b"abcdef"),
        ("upstream_data", 3, False, b"yz"),
        ("upstream_close", PeerType.UNKNOWN),
        ("downstream_close", PeerType.LOCAL),
        ("done",),
        ("log",),
        ("delete",),
    ]


def test_the_plugin() -> None:
    with InProcess(Root) as vm:
        assert not vm.start(b"", b"bad")
        assert vm.configure()
        SEEN.clear()
        vm.tick()
        queue = proxy_wasm.register_shared_queue("work")
        proxy_wasm.enqueue_shared_queue(queue, b"item")
        vm.queue_ready(queue)
        vm.foreign_function(9, b"argument")
        vm.foreign_function(10)
        vm.call("proxy_on_log", vm.root.context_id)
        assert not vm.shutdown()
        assert _dispatch.roots
        root = _dispatch.roots[vm.root.context_id]
        assert isinstance(root, Root)
        root.ready = True
        assert vm.shutdown()
        assert not _dispatch.roots
    assert SEEN == [
        ("tick", 1),
        ("queue", b"item"),
        ("foreign", 9, b"argument"),
        ("foreign", 10, b""),
        ("root log",),
        ("root done",),
        ("root done",),
        ("root delete",),
    ]


def test_defaults_let_everything_pass() -> None:
    class Quiet(proxy_wasm.RootContext):
        stream_context = proxy_wasm.StreamContext

    with InProcess(Quiet) as vm:
        # As if something had been overridden: every callback is called.
        for name, function in _dispatch.CALLBACKS.items():
            BOUNDARY.register("proxy_" + name, function)
        assert vm.start(b"v", b"c")
        vm.tick()
        vm.queue_ready(1)
        vm.foreign_function(1)
        connection = vm.connection()
        assert connection.new_connection() == Action.CONTINUE
        assert connection.downstream_data(b"x") == Action.CONTINUE
        assert connection.upstream_data(b"x") == Action.CONTINUE
        vm.call("proxy_on_http_call_response", connection.context_id, 1, 0, 0, 0)
        vm.call("proxy_on_http_call_response", vm.root.context_id, 1, 0, 0, 0)
        connection.upstream_close()
        connection.close()
        assert vm.shutdown()
        assert not vm.host.logs


def test_none_means_no_objection() -> None:
    class Silent(proxy_wasm.StreamContext):
        def on_new_connection(self) -> None:
            pass

    class Plugin(proxy_wasm.RootContext):
        stream_context = Silent

        def on_configure(self, configuration: bytes):  # type: ignore[no-untyped-def]
            pass

        def on_done(self):  # type: ignore[no-untyped-def]
            pass

    with InProcess(Plugin) as vm:
        assert vm.start()
        assert vm.connection().new_connection() == Action.CONTINUE
        assert vm.shutdown()


def test_an_unknown_context_is_no_filter_at_all() -> None:
    expected = {"proxy_on_vm_start": 0, "proxy_on_configure": 0, "proxy_on_done": 1}
    with InProcess(Root) as vm:
        SEEN.clear()
        for name, callback in CALLBACKS.items():
            result = vm.call(name, 99, *[1] * (len(callback.parameters) - 1))
            assert (result or 0) == expected.get(name, 0), name
        assert not SEEN
        assert not vm.host.logs


class OnlyConnections(proxy_wasm.StreamContext):
    def on_new_connection(self) -> Action:
        SEEN.append(("new_connection", self.context_id, self.root.context_id))
        return Action.PAUSE


class OnlyConnectionsRoot(proxy_wasm.RootContext):
    stream_context: type[proxy_wasm.StreamContext] = OnlyConnections


def test_a_stream_with_nothing_to_come_is_not_kept() -> None:
    with InProcess(OnlyConnectionsRoot) as vm:
        assert vm.start()
        SEEN.clear()
        connection = vm.connection()
        assert not SEEN
        assert connection.new_connection() == Action.PAUSE
        assert not _dispatch.streams
        assert vm.call("proxy_on_downstream_data", connection.context_id, 1, 0) is None
        connection.close()
        assert SEEN == [("new_connection", 2, 1)]


def test_a_stream_is_there_for_whatever_is_called_first() -> None:
    with InProcess(Root) as vm:
        vm.start()
        SEEN.clear()
        first, second = vm.connection(), vm.connection()
        vm.call("proxy_on_downstream_data", second.context_id, 5, 0)
        vm.tick()
        first.new_connection()
        second.new_connection()
        vm.call("proxy_on_delete", vm.connection().context_id)
        assert SEEN == [
            ("stream", 3, 1),
            ("downstream_data", 5, False, b""),
            ("tick", 1),
            ("stream", 2, 1),
            ("new_connection",),
            ("new_connection",),
            ("stream", 4, 1),
            ("delete",),
        ]
        assert list(_dispatch.streams) == [3, 2]


def test_what_comes_later_is_each_class_s_own() -> None:
    class Later(OnlyConnections):
        def on_delete(self) -> None:
            SEEN.append(("delete", self.context_id))

    with InProcess(OnlyConnectionsRoot) as vm:
        vm.start()
        root = _dispatch.roots[vm.root.context_id]
        SEEN.clear()
        for root.stream_context in (OnlyConnections, Later):  # as a new configuration may
            connection = vm.connection()
            connection.new_connection()
            connection.close()
        assert SEEN == [("new_connection", 2, 1), ("new_connection", 3, 1), ("delete", 3)]
        assert not _dispatch.streams


def test_the_end_of_an_unknown_context_does_not_reach_python() -> None:
    with InProcess(Root) as vm:
        vm.start()
        called: list[int] = []
        BOUNDARY.register("proxy_on_delete", called.append)
        vm.call("proxy_on_delete", 99)
        assert not called
        vm.call("proxy_on_delete", vm.root.context_id)
        assert called == [vm.root.context_id]
