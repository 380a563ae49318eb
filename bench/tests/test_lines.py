"""Counting cache lines by single steps: a real worker is stepped through, and instructions are decoded as the processor runs them."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import load, proxy
from bench.measure import lines, steps
from bench.measure.operands import Decoder
from bench.measure.steps import Registers, StepsError
from bench.reporting import render
from bench.variants import BASELINE, EMPTY, FLOOR, PYTHON

CALL_THROUGH_TABLE = bytes.fromhex("41ff14da")  # call [r10 + rbx * 8]
LOAD_BEHIND = bytes.fromhex("488b0508000000")  # mov rax, [rip + 8]
ADDRESS = bytes.fromhex("488d4708")  # lea rax, [rdi + 8]
LONG_LOAD = bytes.fromhex("0f10463c")  # movups xmm0, [rsi + 60]


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, lines.Counts]:
    variants = [BASELINE, EMPTY, FLOOR, PYTHON]
    with load.routers() as routers, proxy.run(variants, routers.ports, tmp_path_factory.mktemp("lines")) as running:
        try:
            return lines.count(running, variants, 2)
        except StepsError as error:
            pytest.skip(str(error))


def test_a_worker_is_stepped_through(counts: dict[str, lines.Counts]) -> None:
    assert list(counts) == ["empty", "floor", "python"]
    for row in lines.ROWS:
        assert counts["empty"][row] < counts["floor"][row] < counts["python"][row]
    # The wrappers of three host calls, and what finds the source's last digit.
    assert 10 < counts["floor"]["lines of code"] < 40
    assert 20 < counts["floor"]["lines of data"] < 40


def test_a_connection_touches_few_lines(counts: dict[str, lines.Counts]) -> None:
    assert counts["python"]["lines of code"] < 172
    assert counts["python"]["lines of data"] < 93


def test_the_proxy_goes_on_afterwards(tmp_path: Path) -> None:
    if reason := steps.refusal():
        pytest.skip(reason)
    with load.routers() as routers, proxy.run([BASELINE, FLOOR], routers.ports, tmp_path) as running:
        for _ in range(2):
            assert lines.count(running, [FLOOR], 1)["floor"]["instructions"] > 100
        made = load.client("rounds", [running.ports["floor"]], 20, 0, 1)
        assert load.wrong(FLOOR, made.records) == (0, 0)


def test_operands_are_where_the_processor_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    registers = Registers(rip=4096, rsp=6400, r10=12800, rbx=16, rsi=25600)
    decoder = Decoder(os.getpid())
    code = {0: CALL_THROUGH_TABLE, 4096: LOAD_BEHIND, 8192: ADDRESS, 12288: LONG_LOAD}
    monkeypatch.setattr(os, "pread", lambda memory, size, address: code[address])

    def touched(address: int) -> list[range]:
        return [operand.lines(registers) for operand in decoder.at(address)[1]]

    # The table's entry, and the stack, where the place to return to is written.
    assert touched(0) == [range(202, 203), range(99, 100)]
    assert touched(4096) == [range(64, 65)]
    assert touched(8192) == []
    assert touched(12288) == [range(400, 402)]
    decoder.close()


def test_what_cannot_be_stepped_through_is_said(
    monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[bytes]
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert steps.refusal() == "single steps need Linux on x86-64"
    child.send_signal(signal.SIGKILL)
    child.wait()
    with pytest.raises(StepsError, match="ptrace is refused here: No such process"):
        steps.Steps(child.pid, child.pid)


def test_a_report_says_why_nothing_was_counted() -> None:
    (table,) = render._lines({"lines": {"error": "ptrace is refused here"}})
    assert "ptrace is refused here" in table.as_text()
    (table,) = render._lines({"lines": {"floor": dict.fromkeys(lines.ROWS, 1234)}})
    assert table.rows[1] == ["lines of code", "1,234"]
