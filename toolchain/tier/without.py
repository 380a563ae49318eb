"""Leaves out of a tiered module what its filter cannot reach: cold functions become traps, and data becomes zero.

It needs no analysis of its own: `vm/builtins.py` has what only some modules of C need, by the functions and addresses of the runtime.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from toolchain.tier.contract import HEAD, NARROW, UNREACHABLE
from toolchain.tools import ToolchainError
from toolchain.vm.builtins import LeftOut


def bodies(all_bodies: Mapping[int, bytes], left_out: LeftOut) -> Mapping[int, bytes]:
    """Returns the cold code of all functions: of those that are left out it traps, or refuses to start a module."""
    if not left_out.functions:
        return all_bodies
    traps = {function: _trap(all_bodies[function]) for function in left_out.functions if function in all_bodies}
    refusals = dict.fromkeys(left_out.starts, all_bodies[left_out.refusal]) if left_out.starts else {}
    return {**all_bodies, **traps, **refusals}


def _trap(body: bytes) -> bytes:
    """Returns cold code that traps, for a function of the same type."""
    _, kind, parameters, _, _ = HEAD.form.unpack_from(body)
    return HEAD.form.pack(NARROW, kind, parameters, parameters, parameters) + bytes([UNREACHABLE])


def image(memory: bytes, left_out: LeftOut) -> bytes:
    """Returns what a memory holds at the start, without the data that is left out."""
    changed = bytearray(memory)
    for begin, end in left_out.data:
        changed[begin:end] = bytes(end - begin)
    return bytes(changed)


def check(ran: Collection[int], left_out: LeftOut, names: str) -> None:
    """Raises ToolchainError if something ran that is left out: what the toolchain knows of CPython is wrong then."""
    found = left_out.functions.intersection(ran) - left_out.starts
    if found:
        named = dict(line.split(" ", 1) for line in names.splitlines())
        functions = ", ".join(sorted(named.get(str(function), str(function)) for function in found))
        raise ToolchainError(
            f"the training ran what the filter is built without: {functions}; this is a fault of the toolchain, "
            "and `keep` with the module that it belongs to is a way around it"
        )
