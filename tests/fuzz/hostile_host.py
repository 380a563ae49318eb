"""A proxy that answers anything: any status, numbers and bytes of its own, in any order of callbacks.

What it cannot do is lie about memory: an address that it gives was allocated by the module, or is null. A host that lied there could as
well write into the module's memory itself.
"""

from __future__ import annotations

import functools
from typing import Any

from proxy_wasm.testing.abi import CALLBACKS, HOST_CALLS, STATUS, HostCall
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.lifecycle import Vm
from proxy_wasm.testing.records import Context, HostStatus

MAX_CALLBACKS = 64
_CONTEXTS = [0, 1, 2, 3, 4, 2**32 - 1]
_NUMBERS = [0, 1, 2, 3, 7, 255, 65536, 2**31 - 1, 2**31, 2**32 - 1]
# Half of the answers are OK; what no ABI knows is among the others.
_STATUSES = [*[STATUS["OK"]] * 16, *STATUS.values(), 13, 255, 2**32 - 1]
_CALLBACKS = list(CALLBACKS)


class Choices:
    """Choices read from bytes, so that a fuzzer can steer them; zero and nothing when the bytes are used up."""

    def __init__(self, data: bytes) -> None:
        self.restart(data)

    def restart(self, data: bytes) -> None:
        """Goes on with other bytes."""
        self._data = data
        self._at = 0

    @property
    def left(self) -> bool:
        """Whether there are more."""
        return self._at < len(self._data)

    def byte(self) -> int:
        """Returns a number from 0 to 255."""
        found = self._data[self._at] if self.left else 0
        self._at += 1
        return found

    def pick(self, values: list[Any]) -> Any:
        """Returns one of the values."""
        return values[self.byte() % len(values)]

    def text(self) -> bytes:
        """Returns up to 255 bytes."""
        size = self.byte()
        found = self._data[self._at : self._at + size]
        self._at += size
        return found


class _OddStatus(HostStatus):
    def __init__(self, status: int) -> None:
        Exception.__init__(self, status)
        self.status = status


class HostileHost(Host):
    """A host whose every call answers by the choices."""

    def __init__(self, choices: Choices) -> None:
        super().__init__()
        self._choices = choices
        for call in HOST_CALLS.values():
            setattr(self, call.name, functools.partial(self._answer, call))

    def _answer(self, call: HostCall, *inputs: int | bytes) -> Any:
        for kind, value in zip(call.inputs.values(), inputs, strict=True):
            assert isinstance(value, bytes) == (kind.name == "bytes"), f"{call.name}{inputs}"
        status = self._choices.pick(_STATUSES)
        if status != STATUS["OK"]:
            raise _OddStatus(status)
        answers = [
            self._choices.text() if kind.name == "out-bytes" else self._choices.pick(_NUMBERS)
            for kind in call.outputs.values()
        ]
        return answers[0] if len(answers) == 1 else tuple(answers)


def drive(vm: Vm, choices: Choices) -> int:
    """Makes callbacks by the choices, until they are used up; returns how many. Raises AssertionError for a wrong result."""
    vm.host.contexts = {number: Context(number) for number in _CONTEXTS}
    made = 0
    while choices.left and made < MAX_CALLBACKS:
        name = choices.pick(_CALLBACKS)
        arguments = [choices.pick(_CONTEXTS)]
        # A parent is a context too; what else there is are sizes and numbers.
        for parameter in CALLBACKS[name].parameters[1:]:
            arguments.append(choices.pick(_CONTEXTS if parameter == "parent_context_id" else _NUMBERS))
        result = vm.call(name, *arguments)
        assert result in (None, 0, 1), f"{name}{arguments} is {result}"
        made += 1
    return made


def end(vm: Vm) -> None:
    """Deletes every context, after which nothing may be left of them."""
    for number in _CONTEXTS * 2:  # such a host may have made a root and a stream of the same number
        vm.call("proxy_on_delete", number)
