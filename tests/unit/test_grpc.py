"""gRPC calls and streams: who hears of what, what is forgotten when, and what a failure does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import proxy_wasm
from proxy_wasm import Action, FailurePolicy, HttpContext, RootContext, StreamContext, _grpc, _http, grpc
from proxy_wasm.testing.driver import NeverInEnvoyError
from proxy_wasm.testing.inprocess import InProcess

ANSWERS: list[tuple[int, str, bytes]] = []


class Request(HttpContext):
    """Asks, and goes on if the answer is good."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action:
        self.call = grpc.call("authz", "Authz", "Check", b"who", self.checked, {"x-id": "1"}, 200)
        return Action.PAUSE

    def checked(self, answer: grpc.Answer) -> None:
        ANSWERS.append((answer.status, answer.message, answer.body))
        if answer.body == b"raise":
            raise RuntimeError("on purpose")
        if answer.failed:
            self.send_response(403, grpc_status=answer.status)
        else:
            self.continue_request()


class Plugin(RootContext):
    http_context = Request


class Closed(Plugin):
    failure_policy = FailurePolicy.CLOSE


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    ANSWERS.clear()
    yield
    assert not _grpc._open and not _http.callers


def test_the_module_exports_the_callbacks() -> None:
    with InProcess(Plugin) as vm:
        grpc_callbacks = {name for name in vm.exports if "grpc" in name}
        assert len(grpc_callbacks) == 4
    # A filter without gRPC has none of them.
    with InProcess(Plugin, grpc=False) as vm:
        assert not {name for name in vm.exports if "grpc" in name}


def test_a_call_that_succeeds_is_received_and_not_closed() -> None:
    with InProcess(Plugin) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        ((call, made),) = vm.host.grpc_calls.items()
        assert (made.cluster, made.service, made.method) == (b"authz", b"Authz", b"Check")
        assert (made.messages, made.metadata) == ([b"who"], [(b"x-id", b"1")])
        assert made.context_id == vm.root.context_id or made.root_context_id == vm.root.context_id
        vm.grpc_receive(call, b"fine")
        assert ANSWERS == [(0, "", b"fine")]
        assert exchange.upstream.headers is not None
        exchange.close()


def test_a_call_that_fails_is_closed_and_not_received() -> None:
    with InProcess(Plugin) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request({"content-type": "application/grpc+proto"})
        vm.grpc_close(next(iter(vm.host.grpc_calls)), 7, b"denied")
        assert ANSWERS == [(7, "denied", b"")]
        assert (exchange.downstream.status, exchange.downstream.header("grpc-status")) == (200, b"7")
        exchange.close()


def test_an_answer_to_nobody_is_dropped() -> None:
    with InProcess(Plugin) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        exchange.close()
        assert not _grpc._open
        vm.grpc_receive(next(iter(vm.host.grpc_calls)), b"late")
        assert not ANSWERS and not vm.host.lines(4)


@pytest.mark.parametrize("root", [Plugin, Closed])
def test_an_answer_that_raises(root: type[RootContext]) -> None:
    with InProcess(root) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        vm.grpc_receive(next(iter(vm.host.grpc_calls)), b"raise")
        assert any("RuntimeError: on purpose" in line for line in vm.host.lines(4))
        assert (exchange.upstream.headers is not None) == (root is Plugin)
        assert exchange.downstream.status == (500 if root is Closed else 0)
        exchange.close()


def test_a_cancelled_call_is_not_heard_of() -> None:
    with InProcess(Plugin) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        call = next(iter(vm.host.grpc_calls))
        grpc.cancel(call)
        assert vm.host.grpc_calls[call].cancelled
        exchange.close()


def test_no_such_cluster() -> None:
    with InProcess(Plugin) as vm:
        vm.host.clusters = set()
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        assert any("proxy_grpc_call (authz): status 4; is the cluster" in line for line in vm.host.lines(4))
        assert exchange.upstream.headers is not None
        exchange.close()


SAID: list[object] = []


class Feed(grpc.Stream):
    def on_initial_metadata(self, metadata: list[tuple[bytes, bytes]]) -> None:
        SAID.append(metadata)

    def on_message(self, message: bytes) -> None:
        SAID.append(message)

    def on_trailing_metadata(self, metadata: list[tuple[bytes, bytes]]) -> None:
        SAID.append(metadata)

    def on_close(self, status: int, message: str) -> None:
        SAID.append((status, message))


class Connection(StreamContext):
    def on_new_connection(self) -> None:
        self.feed = Feed("feeds", "Feed", "Talk")
        self.feed.send(b"hello")
        self.feed.send(b"bye", end_of_stream=True)

    def on_downstream_connection_close(self, peer: proxy_wasm.PeerType) -> None:
        self.feed.cancel()


class Feeding(RootContext):
    stream_context = Connection


@pytest.fixture
def feeding() -> Iterator[tuple[InProcess, int, Callable[[], None]]]:
    SAID.clear()
    with InProcess(Feeding) as vm:
        vm.start()
        connection = vm.connection()
        connection.new_connection()
        ((call, made),) = vm.host.grpc_calls.items()
        assert (made.unary, made.messages) == (False, [b"hello", b"bye"])
        yield vm, call, connection.close


def test_a_stream_is_heard_until_it_is_closed(feeding: tuple[InProcess, int, Callable[[], None]]) -> None:
    vm, call, _ = feeding
    vm.grpc_metadata(call, [(b"a", b"b")])
    vm.grpc_receive(call, b"one")
    vm.grpc_receive(call, b"two")
    vm.grpc_metadata(call, [(b"c", b"d")], trailing=True)
    vm.grpc_close(call, 0)
    assert SAID == [[(b"a", b"b")], b"one", b"two", [(b"c", b"d")], (0, "")]


def test_a_stream_is_over_with_its_connection(feeding: tuple[InProcess, int, Callable[[], None]]) -> None:
    vm, call, close = feeding
    close()
    assert vm.host.grpc_calls[call].cancelled and not SAID


class Awaiting(grpc.Stream):
    async def on_message(self, message: bytes) -> None:  # type: ignore[override]
        raise AssertionError("nobody runs this")


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("what", ["checked", "Awaiting.on_message"])
def test_a_function_for_an_answer_that_is_async_def_is_an_error(what: str) -> None:
    async def checked(answer: grpc.Answer) -> None:
        raise AssertionError("nobody runs this")

    class Waiting(RootContext):
        def on_configure(self, configuration: bytes) -> bool:
            if what == "checked":
                grpc.call("authz", "Authz", "Check", b"who", checked)
            else:
                Awaiting("authz", "Authz", "Watch")
            return True

    with InProcess(Waiting) as vm:
        vm.start()
        (call,) = vm.host.grpc_calls
        vm.grpc_receive(call, b"fine")
        (failure,) = vm.take_failures()
        assert f"{what} is async def, and nothing awaits it: make it a plain def" in failure
        if what != "checked":
            vm.grpc_close(call, 0)


def test_what_comes_after_the_end_of_a_call_is_refused_with_its_end() -> None:
    with InProcess(Plugin) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        (call,) = vm.host.grpc_calls
        vm.grpc_receive(call, b"fine")
        with pytest.raises(NeverInEnvoyError, match=f"gRPC call {call} is over: a message ends it, or a close"):
            vm.grpc_close(call, 7)
        exchange.close()
