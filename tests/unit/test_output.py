"""print, standard error and logging reach the proxy's log: a line each, at the right level."""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import proxy_wasm
from proxy_wasm import LogLevel, RootContext
from proxy_wasm._logging import LogStream
from proxy_wasm.testing.host import Host, HostStatus
from proxy_wasm.testing.inprocess import InProcess


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
        with InProcess(RootContext, host) as vm:
            yield vm
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def test_print() -> None:
    with started() as vm:
        vm.start()
        print("one", 2)
        print("three\nfour")
        print("half", end="", flush=True)
        print(" and half")
        print("oops", file=sys.stderr)
        assert vm.host.logs == [(2, "one 2"), (2, "three"), (2, "four"), (2, "half and half"), (4, "oops")]


def test_text_that_utf8_cannot_say() -> None:
    with started() as vm:
        vm.start()
        print("\ud800 ü")
        assert vm.host.lines() == ["\\ud800 ü"]


def test_a_line_without_an_end_is_cut() -> None:
    with started() as vm:
        vm.start()
        for _ in range(10):
            sys.stdout.write("x" * 1000)
        assert [len(line) for line in vm.host.lines()] == [9000]


def test_streams_are_replaced_once() -> None:
    with started() as vm:
        vm.start()
        stdout = sys.stdout
        assert isinstance(stdout, LogStream)
        assert stdout.writable()
        vm.start()
        assert sys.stdout is stdout


def test_logging() -> None:
    with started() as vm:
        vm.start()
        logger = logging.getLogger("filter")
        for level in (5, 10, 20, 30, 40, 50, 60):
            logger.log(level, "at %d\nmore", level)
        expected = [0, 1, 2, 3, 4, 5, 5]
        # The host's level is trace.
        assert [level for level, _ in vm.host.logs] == [level for level in expected for _ in range(2)]
        assert vm.host.lines()[:2] == ["at 5", "more"]
        vm.host.logs.clear()
        logger.error("broken %d", "x")  # logging reports that on standard error itself
        assert "--- Logging error ---" in vm.host.lines(LogLevel.ERROR)


def test_loggings_level_is_the_hosts() -> None:
    host = Host()
    host.log_level = LogLevel.ERROR
    with started(host) as vm:
        vm.start()
        logging.warning("quiet")
        logging.error("loud")
        assert vm.host.logs == [(4, "loud")]


def test_basic_config_keeps_its_format_and_level() -> None:
    with started() as vm:
        logging.basicConfig(format="<%(message)s>", level=logging.INFO)
        vm.start()
        logging.debug("no")
        logging.info("yes")
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

    with started(Refusing()):
        proxy_wasm.critical("lost")
        print("lost")
        print("lost", file=sys.stderr)
