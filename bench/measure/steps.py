"""Single steps of one thread of a running process, through the code that it generated: ptrace, on Linux and x86-64."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

_CONT, _STEP, _GET, _SET, _DETACH, _SEIZE, _INTERRUPT = 7, 9, 12, 13, 17, 0x4206, 0x4207
_WALL = 0x40000000
_MPROTECT, _NO_CALL = 10, 0xFFFFFFFFFFFFFFFF
_READ, _WRITE, _EXECUTE = 1, 2, 4
_CALL_KERNEL = b"\x0f\x05"
DONE = signal.SIGURG
"""The signal that ends `Steps.run`: whoever gives the thread its work sends it. The thread never sees it."""


class StepsError(Exception):
    """The thread cannot be stepped through; the text says why."""


class Registers(ctypes.Structure):
    """The kernel's `user_regs_struct`."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
            *("orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
        )
    ]
    rip: int
    rsp: int


def refusal() -> str:
    """Returns why this machine cannot step at all, or nothing."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "single steps need Linux on x86-64"
    return ""


class Steps:
    """One thread, attached to.

    Generated code cannot be executed while the thread runs freely. So the thread stops where it comes to such code, and is stepped
    through it until it leaves. Other threads of the process must not come to such code meanwhile.
    """

    def __init__(self, pid: int, thread: int) -> None:
        self._pid, self._thread = pid, thread
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._ask(_SEIZE)
        self._ask(_INTERRUPT)
        self._wait()
        self.code = list(_generated(pid))
        self._kernel = _find_call(pid)
        pointer = self._registers().rsp
        self._stack = next(range(begin, end) for begin, end, _, _ in _mappings(pid) if begin <= pointer < end)

    def _ask(self, request: int, data: object = None) -> None:
        if self._libc.ptrace(request, self._thread, None, data) == -1:
            number = ctypes.get_errno()
            raise StepsError(f"ptrace is refused here: {os.strerror(number)}")

    def _wait(self) -> int:
        """Waits until the thread stops and returns the signal that stopped it."""
        _, status = os.waitpid(self._thread, _WALL)
        if not os.WIFSTOPPED(status):
            raise StepsError("the process ended while it was stepped through")
        return os.WSTOPSIG(status)

    def _step(self) -> Registers:
        self._ask(_STEP)
        if (stopped := self._wait()) != signal.SIGTRAP:
            raise StepsError(f"signal {stopped} came between two steps")
        return self._registers()

    def _registers(self) -> Registers:
        registers = Registers()
        self._ask(_GET, ctypes.byref(registers))
        return registers

    def _allow(self, execute: bool) -> None:
        """Has the thread itself make all generated code executable, or not."""
        before = self._registers()
        for begin, end, protection in self.code:
            allowed = protection if execute else protection & ~_EXECUTE
            call = Registers.from_buffer_copy(before)
            call.rip, call.orig_rax, call.rax = self._kernel, _NO_CALL, _MPROTECT
            call.rdi, call.rsi, call.rdx = begin, end - begin, allowed
            self._ask(_SET, ctypes.byref(call))
            if self._step().rax:
                raise StepsError("the kernel did not change how generated code may be used")
        self._ask(_SET, ctypes.byref(before))

    def _is_generated(self, address: int) -> bool:
        return any(begin <= address < end for begin, end, _ in self.code)

    def is_stack(self, address: int) -> bool:
        """Tells whether an address is on the thread's stack."""
        return address in self._stack

    def run(self) -> Iterator[Registers]:
        """Lets the thread run until it gets `DONE`, and yields its registers before each instruction in generated code."""
        self._allow(False)
        passed = 0
        try:
            while True:
                self._ask(_CONT, passed)
                passed = self._wait()
                if passed == DONE:
                    break
                if passed == signal.SIGSEGV and self._is_generated(self._registers().rip):
                    passed = 0
                    self._allow(True)
                    yield from self._through()
                    self._allow(False)
        finally:
            self._allow(True)

    def _through(self) -> Iterator[Registers]:
        registers = self._registers()
        while self._is_generated(registers.rip):
            yield registers
            registers = self._step()

    def close(self) -> None:
        """Lets go of the thread."""
        with contextlib.suppress(StepsError):
            self._ask(_DETACH)


def _mappings(pid: int) -> Iterator[tuple[int, int, str, str]]:
    """Yields the mappings of a process: where each begins and ends, what is allowed there, and its name."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        found = re.fullmatch(r"(\w+)-(\w+) (\S+) \S+ \S+ \d+ *(.*)", line)
        if found:
            yield int(found[1], 16), int(found[2], 16), found[3], found[4]


def _generated(pid: int) -> Iterator[tuple[int, int, int]]:
    """Yields where a process has code that no file has, and what is allowed there."""
    for begin, end, allowed, name in _mappings(pid):
        if "x" in allowed and (not name or name.startswith("[anon")):
            yield (
                begin,
                end,
                sum(bit for letter, bit in zip("rwx", (_READ, _WRITE, _EXECUTE), strict=True) if letter in allowed),
            )


def _find_call(pid: int) -> int:
    """Returns the address of an instruction that calls the kernel."""
    begin, end = next((begin, end) for begin, end, _, name in _mappings(pid) if name == "[vdso]")
    with Path(f"/proc/{pid}/mem").open("rb") as memory:
        memory.seek(begin)
        return begin + memory.read(end - begin).index(_CALL_KERNEL)
