"""What the boundary's C does with HTTP calls and coroutines is what the stand-in and `_await` of the plain tests do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.lifecycle import Vm
from proxy_wasm.testing.wasm import WasmModule
from tests.host.toolchain_case import build

GUEST = """
import proxy_wasm
from proxy_wasm import Action, FailurePolicy, HttpAnswer, HttpContext, RootContext, StreamContext
from proxy_wasm import _await, _dispatch, _fetch, _http

log = proxy_wasm.info
CHECK = {":method": "GET", ":path": "/check", ":authority": "authz"}

class Deeds(HttpContext):
    async def nothing(self):
        log("nothing")

    async def pause_at_once(self):
        return Action.PAUSE

    async def ask(self):
        answer = await self.fetch("authz", "/check", headers=self.request_headers, timeout=0.25)
        log(repr((answer.status, answer.failed, answer.body)))
        self.request_headers["x-asked"] = "1"

    async def look(self):
        answer = await self.fetch("authz", method="PUT", authority="a", body=b"b", headers=[("x", "y"), (":path", "no")],
                                  trailers={"t": "u"}, timeout=3)
        log(repr((answer.headers, answer.header("X-A"), answer.header("none"), answer.trailers, answer.headers, answer.status)))

    async def twice(self):
        for _ in range(2):
            log(repr((await self.fetch(b"authz", b"/check")).status))

    async def at_once(self):
        one, other = await proxy_wasm.gather(self.fetch("authz", "/1"), self.fetch("authz", "/2"))
        log(repr((one.status, other.status)))

    async def then_at_once(self):
        await self.fetch("authz")
        await self.at_once()

    async def pause(self):
        await self.fetch("authz")
        return Action.PAUSE

    async def carry_on(self):
        await self.fetch("authz")
        return Action.CONTINUE

    async def go_on(self):
        await self.fetch("authz")
        self.continue_request()

    async def deny(self):
        await self.fetch("authz")
        return self.send_response(403, {"x-why": "no"}, b"no")

    async def reset_it(self):
        await self.fetch("authz")
        self.reset()

    async def junk(self):
        return 5

    async def late_junk(self):
        await self.fetch("authz")
        return True

    async def fail(self):
        raise RuntimeError("at once")

    async def late_fail(self):
        try:
            await self.fetch("authz")
        finally:
            log("finally")
        raise RuntimeError("late")

    async def speak(self):
        await self.fetch("authz")
        proxy_wasm.set_effective_context(self.root.context_id)

    async def reuse(self):
        answer = self.fetch("authz")
        await answer
        await answer

    async def forget(self):
        self.fetch("authz")

    async def bad_timeout(self):
        await self.fetch("authz", timeout=-1)

    async def bad_number(self):
        await self.fetch("authz", timeout=1e12)

    async def bad_header(self):
        await self.fetch("authz", headers={"x": "a\\nb"})

    async def bad_path(self):
        await self.fetch("authz", "a\\0b")

    async def bad_pair(self):
        await self.fetch("authz", headers=["abc"])

    async def bad_text(self):
        await self.fetch("authz", body=5)

    async def strange(self):
        class Strange:
            def __await__(self):
                yield 7
        await Strange()

class Awaiting(Deeds):
    async def on_request_headers(self, header_count, end_of_stream):
        return await getattr(self, self.request_headers["x-do"].decode())()

    async def on_request_body(self, size, end_of_stream):
        log(f"body {size} {end_of_stream}")

    async def on_response_headers(self, header_count, end_of_stream):
        if self.response_headers.get("x-then"):
            log(repr((await self.fetch("authz", "/then")).status))

class Calling(HttpContext):
    def on_request_headers(self, header_count, end_of_stream):
        do = self.do = self.request_headers["x-do"].decode()
        if do == "more":
            for body in (b"1", "2"):
                proxy_wasm.http_call(cluster="authz", headers=[*CHECK.items()], body=body, trailers=[("t", "u")], timeout_milliseconds=7)
        elif do == "bad":
            for arguments in (("authz", 5), (5, CHECK), ("authz", CHECK, 5), ("authz", CHECK, b"", [("a",)]),
                              ("authz", CHECK, b"", (), "x"), ("authz", CHECK, b"", (), -1),
                              ("authz", {"a": "\\r"}), ("authz",), ("authz", CHECK, b"", (), 1, 2)):
                try:
                    log(repr(proxy_wasm.http_call(*arguments)))
                except TypeError as error:
                    log("TypeError")
                except Exception as error:
                    log(f"{type(error).__name__}: {error}")
        else:
            proxy_wasm.http_call("authz", CHECK)
        return Action.PAUSE

    def on_http_call_response(self, call, header_count, body_size, trailer_count):
        answer = proxy_wasm.get_http_answer()
        log(repr((header_count, body_size, trailer_count, answer.status, answer.failed, answer.body, answer.header("x-a"))))
        if self.do == "raise":
            raise RuntimeError("on purpose")
        if self.do == "deny":
            self.send_response(403)
        elif self.do != "more" or answer.body:
            self.continue_request()
        if self.do == "twice":
            self.continue_request()

class Plugin(RootContext):
    http_context = Awaiting
    failure_policy = FailurePolicy.CLOSE

    def on_configure(self, configuration):
        for line in configuration.decode().splitlines():
            try:
                log(repr(eval(line)))
            except Exception as error:
                log(f"{type(error).__name__}: {error}")
        return True

    def on_tick(self):
        log(f"kept: {len(_dispatch.streams)} {len(_await.PENDING)} {len(_fetch.waiting)} {len(_http.callers)} {len(_http.open_calls)}")

class Calls(Plugin):
    http_context = Calling
    failure_policy = FailurePolicy.CONTINUE

proxy_wasm.register(Plugin)
proxy_wasm.register(Calls, "calls")
"""
NAMES: dict[str, object] = {}
exec(GUEST.split("proxy_wasm.register(Plugin)")[0], NAMES)
DEEDS = [name for name in vars(NAMES["Deeds"]) if not name.startswith("_")]
ANSWERS: list[tuple[dict[str, str], bytes, dict[str, str]]] = [
    ({":status": "200", "x-a": "1"}, b"body", {}),
    ({"x-a": "1", ":status": "503"}, b"", {"t": "u"}),
    ({":status": "-2"}, b"", {}),
    ({":status": "two"}, b"b", {}),
    ({}, b"", {}),
]
SAID = [
    *(
        f"HttpAnswer({given}).{asked}"
        for given in (
            "[(b':status', b'200'), (b'x', b'y'), (b'x', b'z')]",
            "((b'a', b'1'), (b':status', b''))",
            "[(b':status', b'12345678901234')], b'b', [(b't', b'u')]",
            "[(b':status', b'2_0')], trailers=None",
            "[(b':status', b'x')], body='b'",
            "headers=[('x', b'y')]",
            "[]",
        )
        for asked in ("status", "failed", "headers", "body", "trailers", "header('X')", "header('')")
    ),
    "type(HttpAnswer([]).header('x'))",
]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("guest")
    (path / "plugin.wasm").write_bytes(build(path, {"plugin.py": GUEST}))
    return path / "plugin.wasm"


FORGOTTEN = "coroutine 'fetch' was never awaited"
"""What a module logs. In a test's process pytest takes the warning."""


def log_of(vm: Vm) -> list[str]:
    """Returns what was logged, without the lines of tracebacks that are about source code."""
    lines = vm.host.lines()
    vm.host.logs.clear()
    told = [line for line in lines if not line.partition("): ")[2].startswith((" ", "Traceback"))]
    # Of warnings only one line is the same everywhere, and that without its place.
    told = [line.partition("RuntimeWarning: ")[2] if "RuntimeWarning: " in line else line for line in told]
    return [line for line in told if "tracemalloc" not in line and not line.startswith(" ") and line != FORGOTTEN]


def asked(vm: Vm) -> list[object]:
    return [
        (call.cluster, call.headers, call.body, call.trailers, call.timeout_milliseconds)
        for call in vm.host.http_calls.values()
    ]


def play(vm: Vm, deed: str, early: bool) -> Iterator[object]:
    """Yields what can be seen of a request that does something, with each answer, or with an end before the answer."""
    for headers, body, trailers in ANSWERS[:1] if early else ANSWERS:
        vm.host.http_calls.clear()
        exchange = vm.exchange()
        exchange.request({"x-do": deed}, body=["a", "b"])
        yield exchange.upstream.headers, exchange.upstream.body, log_of(vm)
        for _ in range(0 if early else 3):
            for call in [call for call, made in vm.host.http_calls.items() if not made.answered]:
                vm.http_call_response(call, headers, body, trailers)
                yield log_of(vm)
        yield exchange.upstream, exchange.downstream, asked(vm)
        if exchange.upstream.headers is not None and exchange.downstream.headers is None:
            exchange.respond(200, {"x-then": "1"}, b"c")
        for call in [call for call, made in vm.host.http_calls.items() if not made.answered]:
            if not early:
                vm.http_call_response(call, headers, body, trailers)
        yield exchange.downstream, log_of(vm)
        exchange.close()
        for call in [call for call, made in vm.host.http_calls.items() if not made.answered]:
            vm.http_call_response(call, headers, body, trailers)
        vm.tick()
        yield log_of(vm)


def everything(vm: Vm, deeds: list[str], root_id: bytes) -> list[object]:
    assert vm.start(b"", b"", root_id)
    seen: list[object] = [log_of(vm)]
    for early in (False, True):
        for deed in deeds:
            seen += [(deed, early, step) for step in play(vm, deed, early)]
    return seen


@pytest.mark.filterwarnings("ignore:coroutine 'fetch' was never awaited")
@pytest.mark.parametrize(
    ("root", "deeds"), [("Plugin", DEEDS), ("Calls", ["once", "more", "bad", "raise", "deny", "twice"])]
)
def test_the_same_requests(module: Path, root: str, deeds: list[str]) -> None:
    vm = WasmModule(module, cache=module.parent)
    with InProcess(NAMES[root]) as here:  # type: ignore[arg-type]
        expected = everything(here, deeds, b"")
    found = everything(vm, deeds, b"" if root == "Plugin" else b"calls")
    for one, other in zip(found, expected, strict=True):
        assert one == other


def test_the_same_answers(module: Path) -> None:
    vm = WasmModule(module, cache=module.parent)
    assert vm.start()
    with InProcess(NAMES["Plugin"]) as here:  # type: ignore[arg-type]
        here.start()
        for one in (vm, here):
            one.host.logs.clear()
            one.configure("\n".join(SAID).encode())
        assert log_of(vm) == log_of(here)


def test_a_forgotten_await_is_told(module: Path) -> None:
    vm = WasmModule(module, cache=module.parent)
    assert vm.start()
    vm.exchange().request({"x-do": "forget"})
    assert sum(FORGOTTEN in line for line in vm.host.lines()) == 1
