"""A training that does not do what it should says so, and one that does not end is ended."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

import proxy_wasm
from proto.set_envoy_filter_state_pb import SetEnvoyFilterStateArguments
from proxy_wasm import HttpContext, RootContext, StreamContext, grpc
from proxy_wasm.testing import training
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.wasm import GuestStuck
from tests.host.toolchain_case import build, freeze, write
from toolchain.tier.build import warned
from toolchain.tools import ToolchainError
from toolchain.vm import builder

_FILTER = """
import time
import proxy_wasm

class Stream(proxy_wasm.StreamContext):
    def on_new_connection(self):
        {connection}

class Root(proxy_wasm.RootContext):
    stream_context = Stream
    def on_configure(self, configuration):
        return configuration != b""

proxy_wasm.register(Root)
"""


def filter_that(connection: str) -> dict[str, str]:
    return {"plugin.py": _FILTER.format(connection=connection.replace("\n", "\n        "))}


def test_who_waits_by_the_clock_gets_on(tmp_path: Path) -> None:
    module = build(tmp_path, filter_that("end = time.monotonic() + 0.05\nwhile time.monotonic() < end: pass"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vm = training.start(module)
        assert vm.start(configuration=b"x")
        assert vm.connection(source="10.0.0.1:1").new_connection() == 0


def test_a_callback_that_does_not_end_is_told_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "CALLBACK_SECONDS", 2.0)
    vm = training.start(build(tmp_path, filter_that("while True: pass")))
    vm.start(configuration=b"x")
    with pytest.raises(GuestStuck, match="proxy_on_new_connection did not end within 2 s"):
        vm.connection(source="10.0.0.1:1").new_connection()
    assert "proxy_on_new_connection runs for" in capfd.readouterr().err


def test_an_exception_is_a_warning_once(tmp_path: Path) -> None:
    vm = training.start(build(tmp_path, filter_that("raise KeyError('nothing')")))
    vm.start(configuration=b"x")
    with pytest.warns(
        training.TrainingWarning, match=r"(?s)proxy_on_new_connection raised.*plugin.py.*KeyError"
    ) as caught:
        for _ in range(3):
            vm.connection(source="10.0.0.1:1").new_connection()
    assert len(caught) == 1


def test_a_refused_configuration_is_a_warning(tmp_path: Path) -> None:
    vm = training.start(build(tmp_path, filter_that("pass")))
    with pytest.warns(training.TrainingWarning, match="proxy_on_configure refused the configuration b''"):
        vm.start()


def test_the_choice_of_a_cluster_is_answered(tmp_path: Path) -> None:
    argument = SetEnvoyFilterStateArguments(path="envoy.tcp_proxy.cluster", value="a").SerializeToString()
    deed = f"proxy_wasm.call_foreign_function('set_envoy_filter_state', {argument!r})"
    vm = training.start(build(tmp_path, filter_that(deed)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vm.start(configuration=b"x")
        vm.connection(source="10.0.0.1:1").new_connection()


def test_the_build_says_what_a_training_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import warnings\ndef train(module):\n    warnings.warn('a reason')\n    return iter(())\n"
    write(tmp_path, {"warning_training.py": source})
    monkeypatch.syspath_prepend(tmp_path)
    nothing = SimpleNamespace(module=b"")
    assert warned("warning_training", nothing)[1] == ["a reason"]  # type: ignore[arg-type]


def test_an_import_that_does_not_end_is_told_with_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(builder, "_TELL_SECONDS", 1)
    monkeypatch.setattr(builder, "_LIMIT_SECONDS", 3)
    write(
        tmp_path,
        {"plugin.py": "import endless\n", "endless.py": "def wait():\n    while True:\n        pass\n\nwait()\n"},
    )
    with pytest.raises(ToolchainError) as caught:
        freeze(tmp_path)
    text = str(caught.value)
    assert "importing plugin did not end within 3 s" in text
    assert 'File "plugin.py", line 1' in text and 'File "endless.py", line 5' in text
    assert 'File "endless.py", line 2, in wait' in text or 'File "endless.py", line 3, in wait' in text
    assert "importing plugin takes long; it is ended after 3 s" in capfd.readouterr().err


def test_a_compiled_package_is_named(tmp_path: Path) -> None:
    name = "rpds.cpython-311-x86_64-linux-gnu.so"
    write(tmp_path, {"plugin.py": "import rpds\n", "rpds/__init__.py": "from .rpds import *\n", f"rpds/{name}": ""})
    with pytest.raises(ToolchainError, match=rf"note: rpds.rpds is compiled \(rpds/{name}\); only pure Python fits"):
        freeze(tmp_path)


def test_a_module_that_reads_its_file_is_told_that_there_is_none(tmp_path: Path) -> None:
    write(tmp_path, {"plugin.py": "import os\nhere = os.path.dirname(__file__)\n"})
    with pytest.raises(ToolchainError, match="note: a module in the proxy has no __file__"):
        freeze(tmp_path)


@pytest.mark.parametrize("source", ["time.sleep(1)", "threading.Event().wait(1)"])
def test_a_wait_at_import_fails_the_build(tmp_path: Path, source: str) -> None:
    write(tmp_path, {"plugin.py": f"import threading, time\n{source}\n"})
    with pytest.raises(ToolchainError, match="nothing may wait in a proxy"):
        freeze(tmp_path)


class Request(HttpContext):
    async def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        print("a request of", type(self.root).__name__, self.context_id > 256)
        answer = await self.fetch("authz")
        reply = await grpc.unary("authz", "Authz", "Check")
        print("answers", answer.status, reply.status)

    def on_request_complete(self, body: bytes) -> None:
        print("a body of some size", len(body) > 256)

    def on_response_trailers(self, trailer_count: int) -> None:
        print("trailers")


class Stream(StreamContext):
    def on_upstream_data(self, size: int, end_of_stream: bool) -> None:
        print("a connection of", type(self.root).__name__)


class One(RootContext):
    http_context = Request

    def on_configure(self, configuration: bytes) -> bool:
        proxy_wasm.register_shared_queue("entries")
        return True

    def on_tick(self) -> None:
        print("a tick")

    def on_queue_ready(self, queue: int) -> None:
        print("an entry", proxy_wasm.dequeue_shared_queue(queue))


class Two(RootContext):
    http_context = Request
    stream_context = Stream


_TOLD = {
    *(
        "a request of One True",
        "a request of Two True",
        "a connection of Two",
        "a tick",
        "an entry b'an entry'",
        "trailers",
    ),
    *("answers 200 0", "answers 403 7", "answers 503 14", "answers 0 13"),
    *("a body of some size True", "a body of some size False"),
}


class InTraining(InProcess):
    memory = b""


def test_the_default_training_makes_every_callback_of_every_root(monkeypatch: pytest.MonkeyPatch) -> None:
    with InTraining(grpc=True) as vm:
        proxy_wasm.register(One, "one")
        proxy_wasm.register(Two)
        vm._next_context_id = vm.host.next_call = 1000
        monkeypatch.setattr(training, "start", lambda module: vm)
        monkeypatch.setattr(training, "configured", lambda vm: None)
        assert len(list(training.train(b""))) == 2
        assert set(vm.host.lines(2)) == _TOLD
