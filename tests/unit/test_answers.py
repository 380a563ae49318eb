"""An HTTP call's answer reaches the context that asked, under its failure policy; nothing is kept of a call that is over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import proxy_wasm
from proxy_wasm import Action, FailurePolicy, HttpAnswer, _dispatch, _http
from proxy_wasm.testing.connection import Connection
from proxy_wasm.testing.driver import NeverInEnvoyError
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.lifecycle import Vm
from proxy_wasm.testing.records import DOWNSTREAM, Context, HostStatus

HEADERS = {":method": "GET", ":path": "/", ":authority": "a"}
OK = [(b":status", b"200"), (b"x-user", b"me")]
seen: list[tuple[object, ...]] = []


def call() -> int:
    return proxy_wasm.http_call("authz", HEADERS)


class Asking(proxy_wasm.StreamContext):
    raises = False

    def on_new_connection(self) -> Action:
        call()
        return Action.PAUSE

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        seen.append((self.context_id, call, header_count, body_size, trailer_count))
        if self.raises:
            raise RuntimeError("on purpose")
        proxy_wasm.continue_downstream()


class Leaving(proxy_wasm.StreamContext):
    """Leaves its answers to the root."""

    def on_new_connection(self) -> Action:
        call()
        return Action.PAUSE


class Root(proxy_wasm.RootContext):
    stream_context: type[proxy_wasm.StreamContext] = Asking

    def on_tick(self) -> None:
        call()

    def on_foreign_function(self, function_id: int, argument: bytes) -> None:
        proxy_wasm.set_effective_context(function_id)
        call()
        if argument:
            proxy_wasm.set_effective_context(0)
            call()

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        seen.append(("root", call))
        proxy_wasm.continue_downstream()


@pytest.fixture
def vm() -> Iterator[InProcess]:
    seen.clear()
    with InProcess(Root) as vm:
        vm.start()
        yield vm
    assert not _kept()


def _kept() -> list[object]:
    return [*_http.callers, *_http.open_calls]


def waiting(vm: Vm) -> list[int]:
    return [call for call, made in vm.host.http_calls.items() if not made.answered]


def connect(vm: Vm, early_data: bool = False) -> Connection:
    connection = vm.connection(early_data=early_data)
    assert connection.new_connection() == Action.PAUSE
    return connection


def test_an_answer_reaches_the_stream_that_asked(vm: InProcess) -> None:
    first, second = connect(vm), connect(vm)
    calls = waiting(vm)
    for made in reversed(calls):
        vm.http_call_response(made, OK, b"body", [(b"t", b"1")])
    assert seen == [(3, calls[1], 2, 4, 1), (2, calls[0], 2, 4, 1)]
    assert first.context.continued == second.context.continued == [DOWNSTREAM]
    assert vm.root.continued == []


def test_an_answer_reaches_the_root_that_asked(vm: InProcess) -> None:
    vm.tick()
    (made,) = waiting(vm)
    vm.http_call_response(made, OK)
    assert seen == [("root", made)]
    assert vm.root.continued == [DOWNSTREAM]


def test_the_default_of_a_stream_tells_the_root_in_the_stream_s_name() -> None:
    seen.clear()
    with InProcess(type("Root", (Root,), {"stream_context": Leaving})) as vm:
        vm.start()
        connection = connect(vm)
        (made,) = waiting(vm)
        vm.http_call_response(made, OK)
        assert seen == [("root", made)]
        assert (connection.context.continued, vm.root.continued) == ([DOWNSTREAM], [])


def test_a_stream_that_is_not_kept_asks_too() -> None:
    seen.clear()
    with InProcess(type("Root", (Root,), {"stream_context": Leaving})) as vm:
        vm.start()
        connect(vm, early_data=True).close()
        connect(vm)
        assert not _dispatch.streams
        gone, there = waiting(vm)
        vm.http_call_response(gone, OK)
        vm.http_call_response(there, OK)
        assert seen == [("root", there)]
        assert not _kept()


@pytest.mark.parametrize("policy", FailurePolicy)
def test_the_policy_holds_for_a_stream_that_is_not_kept(policy: FailurePolicy) -> None:
    def fail(self: object, *_: object) -> None:
        raise RuntimeError("on purpose")

    members = {"stream_context": Leaving, "on_http_call_response": fail, "failure_policy": policy}
    with InProcess(type("Root", (Root,), members)) as vm:
        vm.start()
        connection = connect(vm)
        vm.tick()
        for made in waiting(vm):
            vm.http_call_response(made, OK)
        closing = policy is FailurePolicy.CLOSE
        assert connection.context.closed == ([DOWNSTREAM] if closing else [])
        assert connection.context.continued == ([] if closing else [DOWNSTREAM])
        # The root's own call concerns no connection.
        assert (vm.root.closed, vm.root.continued) == ([], [])


def test_a_call_is_made_in_the_effective_context_s_name(vm: InProcess) -> None:
    connection = connect(vm)
    (first,) = waiting(vm)
    vm.foreign_function(connection.context_id, b"and one of the root's")
    own, roots = waiting(vm)[1:]
    vm.tick()
    for made in waiting(vm):
        vm.http_call_response(made, OK)
    assert [entry[:2] for entry in seen] == [(2, first), (2, own), ("root", roots), ("root", roots + 4)]


def test_an_answer_whose_connection_is_gone_is_dropped(vm: InProcess) -> None:
    for _ in range(3):
        connect(vm, early_data=True).close()
    assert not _kept()
    for made in waiting(vm):
        vm.http_call_response(made, OK)
    assert seen == []
    assert vm.host.logs == []


def test_a_root_that_is_gone_forgets_its_calls(vm: InProcess) -> None:
    vm.tick()
    (made,) = waiting(vm)
    assert vm.shutdown()
    assert not _kept()
    with pytest.raises(NeverInEnvoyError, match="cancelled"):
        vm.http_call_response(made, OK)


def test_a_call_made_at_the_very_end_is_forgotten() -> None:
    class Ending(Asking):
        def on_new_connection(self) -> Action:
            return Action.CONTINUE

        def on_delete(self) -> None:
            call()
            raise RuntimeError("after the call")

    with InProcess(type("Root", (Root,), {"stream_context": Ending})) as vm:
        vm.start()
        connection = vm.connection()
        connection.new_connection()
        connection.close()
        assert not _kept()


def test_a_constructor_may_ask() -> None:
    class Early(Asking):
        def __init__(self, context_id: int, root: proxy_wasm.RootContext) -> None:
            super().__init__(context_id, root)
            call()

    seen.clear()
    with InProcess(type("Root", (Root,), {"stream_context": Early})) as vm:
        vm.start()
        connect(vm)
        for made in waiting(vm):
            vm.http_call_response(made, OK)
        assert [entry[0] for entry in seen] == [2, 2]


@pytest.mark.parametrize("policy", FailurePolicy)
def test_an_exception_is_for_the_policy_of_the_connection_that_asked(policy: FailurePolicy) -> None:
    stream = type("Raising", (Asking,), {"raises": True})
    with InProcess(type("Root", (Root,), {"stream_context": stream, "failure_policy": policy})) as vm:
        vm.start()
        connection, other = connect(vm), connect(vm)
        vm.http_call_response(waiting(vm)[0], OK)
        closing = policy is FailurePolicy.CLOSE
        assert connection.context.closed == ([DOWNSTREAM] if closing else [])
        assert connection.context.continued == ([] if closing else [DOWNSTREAM])
        for context in (vm.root, other.context):
            assert (context.closed, context.continued) == ([], [])
        prefix = f"proxy_on_http_call_response (context {connection.context_id}): "
        assert vm.host.lines(4)[-1] == prefix + "RuntimeError: on purpose"


def test_a_filter_that_wants_no_answers_keeps_nothing_of_its_calls() -> None:
    class Silent(proxy_wasm.StreamContext):
        def on_new_connection(self) -> None:
            proxy_wasm.set_effective_context(self.context_id)
            call()

    with InProcess(type("Root", (proxy_wasm.RootContext,), {"stream_context": Silent})) as vm:
        vm.start()
        vm.connection().new_connection()
        assert waiting(vm)
        assert not _kept()
        assert not _dispatch.streams
        assert "proxy_on_http_call_response" not in vm.exports


def test_a_call_that_is_refused_is_not_kept(vm: InProcess) -> None:
    vm.host.empty_clusters = {b"authz"}
    connection = vm.connection()
    assert connection.new_connection() == Action.CONTINUE
    assert "InternalFailureError" in vm.host.lines(4)[-1]
    assert not _kept()


def test_a_number_that_is_used_again_is_the_later_call_s(vm: InProcess) -> None:
    first = connect(vm, early_data=True)
    vm.host.http_calls.clear()
    second = connect(vm)
    first.close()
    (made,) = waiting(vm)
    vm.http_call_response(made, OK)
    assert [entry[0] for entry in seen] == [second.context_id]


class Shifty(Host):
    """A host that knows no context when it is asked to speak for it."""

    def proxy_set_effective_context(self, context_id: int) -> None:
        raise HostStatus("BAD_ARGUMENT")


def test_a_host_that_does_not_know_the_context_any_more() -> None:
    seen.clear()
    with InProcess(Root, Shifty()) as vm:
        vm.start()
        connect(vm)
        vm.http_call_response(waiting(vm)[0], OK)
        assert seen == []
        assert vm.host.logs == []
        assert not _kept()


# ---- what an answer is


@pytest.mark.parametrize("status", [0, 200, 204, 403, 404, 500, 502, 503, 504])
def test_an_answer_has_a_status_and_may_have_failed(status: int) -> None:
    answer = HttpAnswer([(b":status", b"%d" % status)] if status else [])
    assert answer.status == status
    assert answer.failed == (status in (0, 502, 503, 504))


def test_an_answer_outlives_its_callback() -> None:
    answers: list[HttpAnswer] = []

    class Keeping(Asking):
        def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
            answers.append(proxy_wasm.get_http_answer())

    with InProcess(type("Root", (Root,), {"stream_context": Keeping})) as vm:
        vm.start()
        for _ in range(3):
            connect(vm)
        calls = waiting(vm)
        vm.http_call_response(calls[0], OK, b"body", [(b"t", b"1")])
        vm.http_call_failure(calls[1], 504)
        vm.http_call_response(calls[2])
    answer, late, reset = answers
    assert (answer.status, answer.failed, answer.headers, answer.body) == (200, False, OK, b"body")
    assert (answer.trailers, answer.header("X-User"), answer.header("x-other")) == ([(b"t", b"1")], b"me", None)
    assert (late.status, late.failed, late.body) == (504, True, b"upstream request timeout")
    assert (reset.status, reset.failed, reset.headers, reset.body, reset.trailers) == (0, True, [], b"", [])


# ---- what Envoy never does


def test_a_call_has_one_answer(vm: InProcess) -> None:
    connect(vm)
    (made,) = waiting(vm)
    vm.http_call_response(made, OK)
    with pytest.raises(NeverInEnvoyError, match="was answered before"):
        vm.http_call_response(made, OK)


def test_a_paused_connection_is_not_read(vm: InProcess) -> None:
    connection = connect(vm)
    with pytest.raises(NeverInEnvoyError, match=r"max_early_data_bytes: .* connection\(early_data=True\)"):
        connection.downstream_data(b"x")
    with pytest.raises(NeverInEnvoyError, match="no upstream server before"):
        connection.upstream_data(b"x")
    with pytest.raises(NeverInEnvoyError, match="told of a connection once"):
        connection.new_connection()
    with pytest.raises(NeverInEnvoyError, match="does not notice that a client leaves"):
        connection.close(2)
    (made,) = waiting(vm)
    vm.http_call_response(made, OK)
    assert connection.downstream_data(b"x", end_of_stream=True) == Action.CONTINUE
    with pytest.raises(NeverInEnvoyError, match="after which no data comes"):
        connection.downstream_data(b"x")


def test_what_comes_after_the_end() -> None:
    class Closing(proxy_wasm.StreamContext):
        def on_new_connection(self) -> Action:
            proxy_wasm.close_downstream()
            return Action.PAUSE

    with InProcess(type("Root", (proxy_wasm.RootContext,), {"stream_context": Closing})) as vm:
        vm.start()
        connection = vm.connection(early_data=True)
        with pytest.raises(NeverInEnvoyError, match="on_new_connection comes before any data"):
            connection.downstream_data(b"x")
        connection.new_connection()
        with pytest.raises(NeverInEnvoyError, match="the filter closed the connection"):
            connection.downstream_data(b"x")
        connection.close()
        with pytest.raises(NeverInEnvoyError, match="has ended"):
            connection.close()


def test_what_was_held_back_goes_on_with_the_connection() -> None:
    sizes: list[int] = []

    class Holding(proxy_wasm.StreamContext):
        def on_downstream_data(self, size: int, end_of_stream: bool) -> Action:
            sizes.append(size)
            return Action.PAUSE

    class Ticking(proxy_wasm.RootContext):
        stream_context = Holding

        def on_tick(self) -> None:
            proxy_wasm.set_effective_context(2)
            proxy_wasm.continue_downstream()

    with InProcess(Ticking) as vm:
        vm.start()
        connection = vm.connection()
        connection.new_connection()
        for data in (b"ab", b"c"):
            assert connection.downstream_data(data) == Action.PAUSE
        vm.tick()
        connection.downstream_data(b"d")
        assert sizes == [2, 3, 1]


def test_a_context_that_is_gone_speaks_for_nobody(vm: InProcess) -> None:
    vm.host.contexts[9] = Context(9, 1)
    vm.host.context_id, vm.host.effective_context_id = vm.root.context_id, 9
    del vm.host.contexts[9]
    assert vm.host.context is vm.root
