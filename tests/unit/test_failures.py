"""An exception in a callback: the traceback is logged, the failure policy holds, and nothing is raised to the proxy."""

from __future__ import annotations

from typing import NoReturn, cast

import pytest

from proxy_wasm import Action, FailurePolicy, RootContext, StreamContext, _dispatch, set_effective_context
from proxy_wasm.testing.abi import CALLBACKS
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.records import DOWNSTREAM, HostStatus

RESULTS = ("proxy_on_new_connection", "proxy_on_downstream_data", "proxy_on_upstream_data")
# What becomes of an answer to an HTTP call is in test_answers.py.
STREAM_CALLBACKS = [
    name
    for name in CALLBACKS
    if hasattr(StreamContext, name.removeprefix("proxy_")) and name != "proxy_on_http_call_response"
]


def _raise(self: object, *_: object) -> NoReturn:
    try:
        raise KeyError("the cause")
    except KeyError as cause:
        raise RuntimeError("on purpose") from cause


def _root(policy: FailurePolicy, *, stream_constructor: bool = False) -> type[RootContext]:
    methods = {name: _raise for name in vars(StreamContext) if name.startswith("on_")}
    if stream_constructor:
        methods["__init__"] = _raise
    root_methods = {name: _raise for name in vars(RootContext) if name.startswith("on_")}
    stream = type("Stream", (StreamContext,), methods)
    return type("Root", (RootContext,), {**root_methods, "stream_context": stream, "failure_policy": policy})


def test_continue_is_the_default() -> None:
    assert RootContext.failure_policy is FailurePolicy.CONTINUE


@pytest.mark.parametrize("policy", FailurePolicy)
@pytest.mark.parametrize("name", STREAM_CALLBACKS)
def test_stream_callbacks(policy: FailurePolicy, name: str) -> None:
    closing = policy is FailurePolicy.CLOSE and name in RESULTS
    callback = CALLBACKS[name]
    with InProcess(_root(policy)) as vm:
        vm.root = vm.create_context()
        connection = vm.connection()
        result = vm.call(name, connection.context_id, *[1] * (len(callback.parameters) - 1))
        if name == "proxy_on_done":
            assert result == 1
        elif callback.result:
            assert result == (Action.PAUSE if closing else Action.CONTINUE)
        assert connection.context.closed == ([DOWNSTREAM] if closing else [])
        assert connection.context.continued == []
        lines = vm.host.lines(4)
        prefix = f"{name} (context {connection.context_id}): "
        assert all(line.startswith(prefix) for line in lines)
        assert lines[0] == prefix + "Traceback (most recent call last):"
        assert lines[-1] == prefix + "RuntimeError: on purpose"
        assert prefix + "KeyError: 'the cause'" in lines
        assert any("test_failures.py" in line for line in lines)


@pytest.mark.parametrize("policy", FailurePolicy)
def test_root_callbacks(policy: FailurePolicy) -> None:
    with InProcess(_root(policy)) as vm:
        assert not vm.start()
        assert not vm.configure()
        vm.tick()
        vm.queue_ready(1)
        vm.foreign_function(1)
        vm.call("proxy_on_log", vm.root.context_id)
        root = vm.root
        assert vm.shutdown()
        assert len([line for line in vm.host.lines(4) if line.endswith("RuntimeError: on purpose")]) == 8
        assert not _dispatch.roots
        assert (root.closed, root.continued) == ([], [])


@pytest.mark.parametrize("data_first", [False, True])
@pytest.mark.parametrize("policy", FailurePolicy)
def test_a_stream_whose_constructor_raises(policy: FailurePolicy, data_first: bool) -> None:
    closing = policy is FailurePolicy.CLOSE
    with InProcess(_root(policy, stream_constructor=True)) as vm:
        vm.root = vm.create_context()
        connection = vm.connection()
        callbacks = ["new_connection", "downstream_data", "upstream_data"]
        for name in ["downstream_data", *callbacks] if data_first else callbacks:
            result = vm.call(f"proxy_on_{name}", connection.context_id, *[1, 0][: 2 * (name != "new_connection")])
            assert result == (Action.PAUSE if closing else Action.CONTINUE)
        assert connection.context.closed == ([DOWNSTREAM] if closing else [])
        prefix = f"proxy_on_context_create (context {connection.context_id}): "
        assert [line for line in vm.host.lines(4) if "RuntimeError: on purpose" in line][:1] == [
            prefix + "RuntimeError: on purpose"
        ]
        connection.close()
        assert not _dispatch.streams


@pytest.mark.parametrize("policy", FailurePolicy)
def test_a_stream_that_is_not_kept(policy: FailurePolicy) -> None:
    closing = policy is FailurePolicy.CLOSE
    stream = type("Stream", (StreamContext,), {"on_new_connection": _raise})
    with InProcess(type("Root", (RootContext,), {"stream_context": stream, "failure_policy": policy})) as vm:
        vm.start()
        connection = vm.connection()
        assert connection.new_connection() == (Action.PAUSE if closing else Action.CONTINUE)
        assert connection.context.closed == ([DOWNSTREAM] if closing else [])
        assert not _dispatch.streams
        connection.close()


def test_a_root_whose_constructor_raises_does_not_start() -> None:
    with InProcess(type("Root", (RootContext,), {"__init__": _raise})) as vm:
        assert not vm.start()
        assert not _dispatch.roots


class Deaf(Host):
    """A host whose log and close are out of order."""

    def proxy_log(self, level: int, message: bytes) -> None:
        raise HostStatus("INTERNAL_FAILURE")

    def proxy_close_stream(self, stream: int) -> None:
        raise HostStatus("UNIMPLEMENTED")


def test_the_policy_holds_where_the_log_does_not() -> None:
    with InProcess(_root(FailurePolicy.CLOSE), Deaf()) as vm:
        vm.root = vm.create_context()
        assert vm.connection().new_connection() == Action.PAUSE


@pytest.mark.parametrize("result", ["continue", True, False, 0, 1, 1.0, iter(())])
def test_a_wrong_result_is_a_failure(result: object) -> None:
    class Stream(StreamContext):
        def on_new_connection(self) -> Action:
            return cast(Action, result)

    class Root(RootContext):
        stream_context = Stream
        failure_policy = FailurePolicy.CLOSE

    with InProcess(Root) as vm:
        vm.start()
        connection = vm.connection()
        assert connection.new_connection() == Action.PAUSE
        assert connection.context.closed == [DOWNSTREAM]
        assert vm.host.lines(4)[-1].endswith(
            f"TypeError: on_new_connection() returned {result!r}: return a proxy_wasm.Action, or nothing"
        )


@pytest.mark.parametrize("result", ["yes", 0, 1, Action.CONTINUE])
@pytest.mark.parametrize("method", ["on_vm_start", "on_configure", "on_done"])
def test_a_wrong_answer_to_a_question_is_a_failure(method: str, result: object) -> None:
    root = type("Root", (RootContext,), {method: lambda self, *_: result})
    with InProcess(root) as vm:
        assert vm.start() == (method == "on_done")
        # A plugin that cannot say whether it is done is.
        assert vm.shutdown()
        assert vm.host.lines(4)[-1].endswith(
            f"TypeError: {method}() returned {result!r}: return True, False, or nothing"
        )


def test_the_policy_is_for_the_callback_s_own_connection() -> None:
    class Stream(StreamContext):
        def on_new_connection(self) -> None:
            if self.context_id == 3:
                set_effective_context(2)
                raise RuntimeError("on purpose")

    class Root(RootContext):
        stream_context = Stream
        failure_policy = FailurePolicy.CLOSE

    with InProcess(Root) as vm:
        vm.start()
        other, failing = vm.connection(), vm.connection()
        other.new_connection()
        failing.new_connection()
        assert (other.context.closed, failing.context.closed) == ([], [DOWNSTREAM])


def test_recursion_and_exit_are_exceptions_too() -> None:
    class Stream(StreamContext):
        def on_new_connection(self) -> None:
            self.on_new_connection()

        def on_downstream_data(self, size: int, end_of_stream: bool) -> None:
            raise SystemExit(3)

        def on_upstream_data(self, size: int, end_of_stream: bool) -> None:
            raise MemoryError

    class Root(RootContext):
        stream_context = Stream

    with InProcess(Root) as vm:
        vm.start()
        connection = vm.connection()
        assert connection.new_connection() == Action.CONTINUE
        assert connection.downstream_data(b"x") == Action.CONTINUE
        assert connection.upstream_data(b"x") == Action.CONTINUE
        text = "\n".join(vm.host.lines(4))
        assert "RecursionError" in text
        assert "SystemExit: 3" in text
        assert "MemoryError" in text


def test_each_traceback_is_one_failure() -> None:
    class Stream(StreamContext):
        on_new_connection = _raise

    class Root(RootContext):
        stream_context = Stream

        def on_configure(self, configuration: bytes) -> bool:
            return _raise(self) if configuration else True

    with InProcess(Root) as vm:
        assert vm.start() and not vm.configure(b"refused")
        connections = [vm.connection() for _ in range(2)]
        for connection in connections:
            connection.new_connection()
        vm.host.proxy_log(4, b"an error that is no exception")
        connections.append(vm.connection())
        connections[2].new_connection()
        vm.host.logs.clear()
        failures = vm.take_failures()
        assert [failure.partition(": ")[0] for failure in failures] == [
            f"proxy_on_new_connection (context {connection.context_id})" for connection in connections
        ]
        for failure in failures:
            assert failure.count("Traceback (") == 2 and failure.endswith(": RuntimeError: on purpose")
        assert vm.take_failures() == []
