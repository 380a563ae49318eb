"""print, standard error and logging reach the proxy's log: a line each, at the right level."""

from __future__ import annotations

import bdb
import io
import logging
import pdb
import random
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NoReturn

import pytest

import proxy_wasm
from proxy_wasm import LogLevel, RootContext
from proxy_wasm._logging import LogStream
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.records import HostStatus


class Speaker(RootContext):
    """Says in a callback what a test wants said."""

    def on_queue_ready(self, queue: int) -> None:
        SAID[queue]()


SAID: list[Callable[[], object]] = []


def say(vm: InProcess, *said: Callable[[], object]) -> None:
    """Calls functions in callbacks of the filter, each in its own."""
    SAID[:] = said
    for number in range(len(said)):
        vm.queue_ready(number)


@contextmanager
def started(host: Host | None = None) -> Iterator[InProcess]:
    """A started VM in an interpreter whose root logger is as a fresh one has it.

    Not a fixture: pytest replaces the output streams and the log handlers between a fixture and its test.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    root.setLevel(logging.WARNING)
    try:
        with InProcess(Speaker, host) as vm:
            yield vm
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def test_print() -> None:
    with started() as vm:
        vm.start()
        say(
            vm,
            lambda: print("one", 2),
            lambda: print("three\nfour"),
            lambda: print("half", end="", flush=True),
            lambda: print(" and half"),
            lambda: print("oops", file=sys.stderr),
        )
        assert vm.host.logs == [(2, "one 2"), (2, "three"), (2, "four"), (2, "half and half"), (4, "oops")]


def test_what_the_test_says_is_no_line_of_the_filter(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with InProcess(Speaker) as vm:
        vm.start()
        for _ in range(2):
            say(vm, lambda: print("from a callback"))
            print("from the test")
            print("and its errors", file=sys.stderr)
            logging.warning("a warning of the test's")
        assert vm.host.logs == [(2, "from a callback")] * 2
        assert capsys.readouterr() == ("from the test\n" * 2, "and its errors\n" * 2)
        assert caplog.messages == ["a warning of the test's"] * 2
        say(vm, lambda: logging.warning("a warning of the filter's"))
        assert vm.host.lines(LogLevel.WARN) == ["a warning of the filter's"]


def stop() -> None:
    breakpoint()
    print("from a callback")


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Python's own debugger, without pytest's part in it, and who answers its prompt."""

    def set_trace() -> None:
        pdb.Pdb(nosigint=True).set_trace(sys._getframe().f_back)

    monkeypatch.setattr(pdb, "set_trace", set_trace)
    monkeypatch.setattr(sys, "breakpointhook", sys.__breakpointhook__)
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_a_debugger_has_the_streams_of_the_test(
    capsys: pytest.CaptureFixture[str], prompt: Callable[[str], None]
) -> None:
    with InProcess(Speaker) as vm:
        vm.start()
        for _ in range(2):
            prompt("p 'at the prompt'\nwhere\nc\n")
            say(vm, stop)
            said = capsys.readouterr().out
            assert "(Pdb) 'at the prompt'\n" in said and re.search(r"\n> .*test_output.py\(\d+\)stop\(\)", said), said
        assert vm.host.lines() == ["from a callback"] * 2


def test_who_quits_the_debugger_ends_the_test(prompt: Callable[[str], None]) -> None:
    with InProcess(Speaker) as vm:
        vm.start()
        prompt("q\n")
        with pytest.raises(bdb.BdbQuit):
            say(vm, stop)
        say(vm, lambda: print("on"))
        assert vm.host.lines()[-1] == "on"


def _interrupt() -> NoReturn:
    raise KeyboardInterrupt


def test_who_interrupts_a_callback_ends_the_test() -> None:
    with InProcess(Speaker) as vm:
        vm.start()
        with pytest.raises(KeyboardInterrupt):
            say(vm, _interrupt)


def test_text_that_utf8_cannot_say() -> None:
    with started() as vm:
        vm.start()
        say(vm, lambda: print("\ud800 ü"))
        assert vm.host.lines() == ["\\ud800 ü"]


def test_a_line_without_an_end_is_cut() -> None:
    with started() as vm:
        vm.start()
        say(vm, *[lambda: sys.stdout.write("x" * 1000)] * 10)
        assert [len(line) for line in vm.host.lines()] == [9000]


def test_streams_are_replaced_once() -> None:
    found: list[object] = []
    outside = sys.stdout
    with started() as vm:
        for _ in range(2):
            vm.start()
            say(vm, lambda: found.append(sys.stdout))
            assert sys.stdout is outside
    assert isinstance(found[0], LogStream) and found[0].writable() and found[1] is found[0]


def test_logging() -> None:
    with started() as vm:
        vm.start()
        logger = logging.getLogger("filter")
        for level in (5, 10, 20, 30, 40, 50, 60):
            say(vm, partial(logger.log, level, "at %d\nmore", level))
        expected = [0, 1, 2, 3, 4, 5, 5]
        # The host's level is trace.
        assert [level for level, _ in vm.host.logs] == [level for level in expected for _ in range(2)]
        assert vm.host.lines()[:2] == ["at 5", "more"]
        vm.host.logs.clear()
        say(vm, lambda: logger.error("broken %d", "x"))  # logging reports that on standard error itself
        assert "--- Logging error ---" in vm.host.lines(LogLevel.ERROR)


def test_loggings_level_is_the_hosts() -> None:
    host = Host()
    host.log_level = LogLevel.ERROR
    with started(host) as vm:
        vm.start()
        say(vm, lambda: logging.warning("quiet"), lambda: logging.error("loud"))
        assert vm.host.logs == [(4, "loud")]
        assert logging.getLogger().level == logging.WARNING


def test_basic_config_keeps_its_format_and_level() -> None:
    with started() as vm:
        logging.basicConfig(format="<%(message)s>", level=logging.INFO)
        vm.start()
        say(vm, lambda: logging.debug("no"), lambda: logging.info("yes"))
        assert vm.host.logs == [(2, "<yes>")]


def test_random_numbers_are_not_the_builds() -> None:
    drawn = []
    for _ in range(2):
        random.seed(1)
        with started() as vm:
            vm.start()
            drawn.append(random.random())
    assert drawn[0] != drawn[1]


def test_a_line_that_the_proxy_refuses_is_lost_and_raises_nothing() -> None:
    class Refusing(Host):
        def proxy_log(self, level: int, message: bytes) -> None:
            raise HostStatus("INTERNAL_FAILURE")

    with started(Refusing()) as vm:
        vm.start()
        say(vm, lambda: proxy_wasm.critical("lost"), lambda: print("lost"), lambda: print("lost", file=sys.stderr))
