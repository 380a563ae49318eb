"""Makes cold what the training did not reach of a function that it ran: half of CPython's evaluation loop, most calls elsewhere.

Such a part begins where no operand is on the stack, so that the locals are all there is. The function then puts them into a frame and
lets the interpreter go on from there to its end: it does not come back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from toolchain.tier.contract import HEAD
from toolchain.tier.translation import Part, Translation
from toolchain.wasm.code import END, RETURN, block, branch, i32_const, local_set, with_locals
from toolchain.wasm.instructions import read_body

Reached = Mapping[int, Collection[int]]
"""Marks (`translation.Part`) that a training reached, by function."""

_LEAST = 32
"""A part of fewer bytes is not worth the jump, nor that whatever comes to it goes on interpreted."""

_JUMP, _LEAVING, _STORE = 7, 40, 8
"""What cold parts cost in bytes: a jump for each, and once the code that leaves the function, with a store for each local."""


def unreached(translation: Translation, kept: Iterable[int], reached: Reached) -> dict[int, list[Part]]:
    """Returns the parts that no training reached, by function, of those kept functions that become smaller without them."""
    found = {f: _outermost(translation.parts[f], reached[f]) for f in kept if f in reached}
    return {f: parts for f, parts in found.items() if _pay(parts, _locals(translation.bodies[f]))}


def _outermost(parts: Iterable[Part], reached: Collection[int]) -> list[Part]:
    """Returns the parts, none inside another, whose marks are not among those that were reached."""
    found: list[Part] = []
    for part in parts:
        inside = found and part.begin < found[-1].end
        if part.mark not in reached and not inside and part.end - part.begin >= _LEAST:
            found.append(part)
    return found


def _pay(parts: list[Part], own: int) -> bool:
    """Tells whether a function with so many locals becomes smaller without them."""
    return sum(part.end - part.begin - _JUMP for part in parts) > _LEAVING + _STORE * own


def _locals(body: bytes) -> int:
    """Returns how many locals a function has, as its cold body says."""
    own: int = HEAD.form.unpack_from(body)[3]
    return own


def split(
    body: bytes,
    parameters: int,
    result: bytes,
    cold: list[Part],
    begin: bytes,
    leave: bytes,
    relocate: Callable[[bytes], bytes],
) -> bytes:
    """Returns the body without its cold parts; what stays of its instructions goes through `relocate`.

    `begin` is code that comes first; `leave` is code that lets the interpreter go on and ends with the result on the stack. The mark to
    go on from is in the first of three new locals behind the body's own; the others are free.
    """
    own, reader = read_body(body)
    at = parameters + len(own)
    out = bytearray()
    position = reader.position
    for part in cold:
        out += relocate(body[position : part.begin])
        out += i32_const(part.mark) + local_set(at) + branch(part.depth + 1)
        position = part.end
    out += relocate(body[position : len(body) - len(END)])
    # The inner block stands where the function did: to a branch from within, its end is the function's.
    stays = block(block(bytes(out), result=result), RETURN)
    return with_locals(body, 3) + begin + stays + leave + END
