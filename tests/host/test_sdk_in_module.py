"""The SDK on the real CPython of a built module: what crosses the C boundary, what goes wrong, what is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy_wasm.testing.wasm import WasmModule
from tests.host.toolchain_case import build
from toolchain.tools import ToolchainError

TRACE, DEBUG, INFO, WARN, ERROR = range(5)

# The source address of a connection names the function that it calls.
GUEST = """
import io, json, logging, os, random, socket, sys, time
import proxy_wasm
from proxy_wasm import Action, FailurePolicy, MetricKind

SOURCE = proxy_wasm.property_path("source", "address")
print("printed at import")

def say(value): proxy_wasm.info(repr(value))

def name_of(function):
    try:
        return repr(function())
    except BaseException as error:
        return type(error).__name__

def numbers():
    gauge = proxy_wasm.define_metric(MetricKind.GAUGE, "gauge")
    proxy_wasm.record_metric(gauge, 2**64 - 1)
    counter = proxy_wasm.define_metric(MetricKind.GAUGE, b"other")
    proxy_wasm.record_metric(counter, 10)
    proxy_wasm.increment_metric(counter, -3)
    say((proxy_wasm.get_metric(gauge), proxy_wasm.get_metric(counter)))
    say([name_of(lambda: proxy_wasm.record_metric(gauge, value)) for value in (2**64, -1, "x", None)])
    say(name_of(lambda: proxy_wasm.increment_metric(gauge, 2**63)))

def text_of(function):
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def wrong():
    say(text_of(lambda: proxy_wasm.get_property(["source"])))
    say(text_of(lambda: proxy_wasm.set_shared_data("key", "value", "cas")))
    say(text_of(lambda: proxy_wasm.set_tick_period(-1)))
    say(text_of(lambda: proxy_wasm.get_property()))

def nothing(): pass

def texts():
    proxy_wasm.set_shared_data("key", b"")
    say(proxy_wasm.get_shared_data(b"key"))
    proxy_wasm.set_shared_data("schl\\u00fcssel", b"\\0\\xff")
    say((proxy_wasm.get_shared_data("schl\\u00fcssel")[0], proxy_wasm.get_shared_data("none")))
    say([name_of(lambda: proxy_wasm.log(2, value)) for value in (1, None, [], "\\ud800")])
    say([name_of(call) for call in (lambda: proxy_wasm.log(2), lambda: proxy_wasm.get_property(), lambda: proxy_wasm.log(2**32, "x"))])

def statuses():
    say(name_of(lambda: proxy_wasm.call_foreign_function("nowhere", b"")))
    say(proxy_wasm.get_property(b"no\\0such"))
    proxy_wasm.set_shared_data("key", b"")
    say(name_of(lambda: proxy_wasm.set_shared_data("key", b"", cas=12345)))

def output():
    print("in", "pieces", end="")
    print("!")
    print("two\\nlines")
    print("to stderr", file=sys.stderr)
    logging.getLogger("guest").warning("by logging")

def sandbox():
    say(name_of(lambda: open("/etc/passwd")))
    say(name_of(lambda: socket.socket()))
    say(name_of(lambda: __import__("decimal_of_nowhere")))
    say(sys.stdin.read())
    say(name_of(lambda: time.sleep(5)))
    say(json.dumps({"os": len(os.urandom(8))}))

def drawn(): say(random.random())

def fail(): raise ValueError("on purpose")

def leave(): sys.exit(3)

class Stream(proxy_wasm.StreamContext):
    def on_new_connection(self):
        globals()[proxy_wasm.get_property(SOURCE).decode()]()
        return eval(proxy_wasm.get_property("result") or "Action.PAUSE")

    def on_downstream_data(self, size, end_of_stream):
        if proxy_wasm.get_property("result"):
            return eval(proxy_wasm.get_property("result"))
        say((size, end_of_stream, proxy_wasm.get_buffer(proxy_wasm.Buffer.DOWNSTREAM_DATA)))

class Root(proxy_wasm.RootContext):
    stream_context = Stream
    failure_policy = FailurePolicy.CHOSEN

    def on_configure(self, configuration):
        if configuration == b"bad":
            raise RuntimeError("bad configuration")

proxy_wasm.register(Root)
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    made = {}
    for policy in ("CONTINUE", "CLOSE"):
        directory = tmp_path_factory.mktemp(policy)
        made[policy] = build(directory, {"plugin.py": GUEST.replace("CHOSEN", policy)})
    return made


def start(module: bytes, cache: Path) -> WasmModule:
    vm = WasmModule(module, cache=cache)
    assert vm.start()
    vm.host.logs.clear()
    return vm


@pytest.fixture
def vm(modules: dict[str, bytes], cache: Path) -> WasmModule:
    return start(modules["CONTINUE"], cache)


def run(vm: WasmModule, function: str) -> tuple[int, list[int]]:
    """Makes a connection that calls a function; returns the action and the streams that were closed."""
    connection = vm.connection(source=function.encode())
    action = connection.new_connection()
    closed = list(connection.context.closed)
    connection.close()
    return action, closed


def test_numbers_keep_all_their_bits(vm: WasmModule) -> None:
    assert run(vm, "numbers") == (1, [])
    assert vm.host.lines() == [
        "(18446744073709551615, 7)",
        "['OverflowError', 'OverflowError', 'TypeError', 'TypeError']",
        "'OverflowError'",
    ]


def test_text_and_bytes_cross_the_boundary(vm: WasmModule) -> None:
    assert run(vm, "texts") == (1, [])
    assert vm.host.lines()[0].startswith("(b'', ")
    assert vm.host.lines()[1:] == [
        r"(b'\x00\xff', None)",
        "['TypeError', 'TypeError', 'TypeError', 'UnicodeEncodeError']",
        "['TypeError', 'TypeError', 'OverflowError']",
    ]


def test_a_wrong_argument_is_an_error_that_names_the_call(vm: WasmModule) -> None:
    run(vm, "wrong")
    assert vm.host.lines() == [
        "'TypeError: proxy_get_property: path must be str or bytes, not list'",
        "'TypeError: proxy_set_shared_data: cas must be int, not str'",
        "'OverflowError: proxy_set_tick_period_milliseconds: milliseconds is out of range'",
        "'TypeError: proxy_get_property(path)'",
    ]


@pytest.mark.parametrize("result", ["True", "False", "0", "1", "'continue'", "1.0"])
@pytest.mark.parametrize("callback", ["new_connection", "downstream_data"])
def test_what_is_no_action_is_an_error(modules: dict[str, bytes], cache: Path, callback: str, result: str) -> None:
    vm = start(modules["CLOSE"], cache)
    vm.host.properties[b"result"] = result.encode()
    connection = vm.connection(source=b"nothing", early_data=True)
    if callback == "downstream_data":
        vm.host.properties[b"result"] = b"Action.CONTINUE"
        assert connection.new_connection() == 0
        vm.host.properties[b"result"] = result.encode()
    assert getattr(connection, callback)(*[b"x"][: callback == "downstream_data"]) == 1
    assert connection.context.closed == [2]
    assert vm.host.lines(ERROR)[-1].endswith(
        f"TypeError: on_{callback}() returned {result}: return a proxy_wasm.Action, or nothing"
    )


def test_a_host_call_while_the_filter_is_built_says_that_there_is_no_proxy(tmp_path: Path) -> None:
    source = "import proxy_wasm\nCOUNTER = proxy_wasm.define_metric(proxy_wasm.MetricKind.COUNTER, 'x')\n"
    with pytest.raises(ToolchainError) as raised:
        build(tmp_path, {"plugin.py": source})
    assert str(raised.value).endswith(
        "UnimplementedError: proxy_define_metric: there is no proxy at build time; call it in on_configure or later"
    )


def test_a_mistake_in_a_class_stops_the_build(tmp_path: Path) -> None:
    source = "import proxy_wasm\nclass Plugin(proxy_wasm.RootContext):\n    def on_tik(self): pass\nproxy_wasm.register(Plugin)\n"
    with pytest.raises(ToolchainError, match=r"TypeError: Plugin\.on_tik: .*; did you mean on_tick?"):
        build(tmp_path, {"plugin.py": source})


def test_a_second_class_for_a_root_id_stops_the_build(tmp_path: Path) -> None:
    source = "import proxy_wasm\n" + "proxy_wasm.register(proxy_wasm.RootContext)\n" * 2
    with pytest.raises(ToolchainError, match="ValueError: root id None has a context class already: RootContext"):
        build(tmp_path, {"plugin.py": source})


def test_statuses_are_typed_exceptions_or_none(vm: WasmModule) -> None:
    run(vm, "statuses")
    assert vm.host.lines() == ["'NotFoundError'", "None", "'CasMismatchError'"]


def test_output_is_a_line_each_at_the_right_level(vm: WasmModule) -> None:
    run(vm, "output")
    assert [(level, text) for level, text in vm.host.logs if "logging" not in text] == [
        (INFO, "in pieces!"),
        (INFO, "two"),
        (INFO, "lines"),
        (ERROR, "to stderr"),
    ]
    assert [level for level, text in vm.host.logs if "by logging" in text] == [WARN]


def test_what_is_printed_at_import_is_the_builds(modules: dict[str, bytes], cache: Path) -> None:
    vm = WasmModule(modules["CONTINUE"], cache=cache)
    vm.start()
    run(vm, "output")
    assert not [line for line in vm.host.lines() if "printed at import" in line]


def test_the_sandbox_says_no_and_does_not_trap(vm: WasmModule) -> None:
    run(vm, "sandbox")
    assert vm.host.lines() == [
        *("'FileNotFoundError'", "'OSError'", "'ModuleNotFoundError'", "''", "'RuntimeError'", "'{\"os\": 8}'"),
    ]


def test_two_vms_draw_different_numbers(modules: dict[str, bytes], cache: Path) -> None:
    drawn = set()
    for _ in range(2):
        vm = start(modules["CONTINUE"], cache)
        run(vm, "drawn")
        drawn.add(vm.host.lines()[0])
    assert len(drawn) == 2


def test_data_reaches_the_stream_context(vm: WasmModule) -> None:
    connection = vm.connection(source=b"drawn", early_data=True)
    connection.new_connection()
    vm.host.logs.clear()
    assert connection.downstream_data(b"hello", end_of_stream=True) == 0
    assert vm.host.lines() == ["(5, True, b'hello')"]


@pytest.mark.parametrize(("policy", "answer"), [("CONTINUE", (0, [])), ("CLOSE", (1, [2]))])
@pytest.mark.parametrize(("function", "text"), [("fail", "ValueError: on purpose"), ("leave", "SystemExit: 3")])
def test_an_exception_is_a_traceback_and_then_the_policy(
    modules: dict[str, bytes], cache: Path, policy: str, answer: tuple[int, list[int]], function: str, text: str
) -> None:
    vm = start(modules[policy], cache)
    for _ in range(3):  # the VM lives on
        vm.host.logs.clear()
        assert run(vm, function) == answer
        assert vm.host.lines(ERROR)[0].endswith("Traceback (most recent call last):")
        assert any('File "plugin.py", line' in line for line in vm.host.lines(ERROR))
        assert vm.host.lines(ERROR)[-1].endswith(text)


def test_a_configuration_that_raises_is_refused(modules: dict[str, bytes], cache: Path) -> None:
    vm = WasmModule(modules["CONTINUE"], cache=cache)
    assert not vm.start(configuration=b"bad")
    assert vm.host.lines(ERROR)[-1].endswith("RuntimeError: bad configuration")


BRIEF_GUEST = """
import proxy_wasm
from proxy_wasm import Action, FailurePolicy, _dispatch

SOURCE = proxy_wasm.property_path("source", "address")

class Brief(proxy_wasm.StreamContext):
    def __init__(self, context_id, root):
        super().__init__(context_id, root)
        self.source = proxy_wasm.get_property(SOURCE)
        proxy_wasm.info(f"made {context_id}")
        if self.source == b"constructor":
            raise ValueError("in the constructor")

    def on_new_connection(self):
        proxy_wasm.info(f"connected {self.context_id}, {len(_dispatch.streams)} kept")
        if self.source == b"raise":
            raise ValueError("in the callback")
        return "wrong" if self.source == b"wrong" else Action.PAUSE

class Lasting(Brief):
    def on_delete(self):
        proxy_wasm.info(f"deleted {self.context_id}")

class Root(proxy_wasm.RootContext):
    stream_context = Brief
    failure_policy = FailurePolicy.CLOSE

    def on_configure(self, configuration):
        self.stream_context = Lasting if configuration == b"lasting" else Brief

    def on_tick(self):
        proxy_wasm.info(f"{len(_dispatch.streams)} kept")

    def on_delete(self):
        proxy_wasm.info("root deleted")

proxy_wasm.register(Root)
"""


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build(tmp_path_factory.mktemp("brief"), {"plugin.py": BRIEF_GUEST})


def test_a_stream_is_made_with_its_first_callback_and_kept_if_there_can_be_another(brief: bytes, cache: Path) -> None:
    vm = start(brief, cache)
    first, second, third = (vm.connection(source=b"any") for _ in range(3))
    assert not vm.host.logs
    assert [first.new_connection(), second.new_connection()] == [1, 1]
    for connection in (first, second, third):
        connection.close()
    vm.call("proxy_on_delete", 99)
    vm.tick()
    assert vm.configure(b"lasting")
    lasting = vm.connection(source=b"any")
    assert lasting.new_connection() == 1
    lasting.close()
    assert vm.shutdown()
    assert vm.host.lines() == [
        "made 2",
        "connected 2, 0 kept",
        "made 3",
        "connected 3, 0 kept",
        "made 4",  # its end was its first callback
        "0 kept",
        "made 5",
        "connected 5, 1 kept",
        "deleted 5",
        "root deleted",
    ]


@pytest.mark.parametrize("source", ["constructor", "raise", "wrong"])
def test_the_policy_holds_for_a_stream_that_is_not_kept(brief: bytes, cache: Path, source: str) -> None:
    vm = start(brief, cache)
    for _ in range(3):
        vm.host.logs.clear()
        connection = vm.connection(source=source.encode())
        assert connection.new_connection() == 1
        assert connection.context.closed == [2]
        connection.close()
        callback = "proxy_on_context_create" if source == "constructor" else "proxy_on_new_connection"
        assert vm.host.lines(ERROR)[0].startswith(f"{callback} (context {connection.context_id}): ")
        vm.tick()
        assert vm.host.lines()[-1] == "0 kept"
