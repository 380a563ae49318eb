"""Makes cold what the training did not reach of a function that it ran: of CPython's evaluation loop, the most.

Such a part begins where no operand is on the stack, so that the locals are all there is. The function then puts them into a frame and
lets the interpreter go on from there to its end: it does not come back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from toolchain.tier.translation import Part
from toolchain.wasm.code import END, RETURN, block, branch, i32_const, local_set, with_locals
from toolchain.wasm.instructions import read_body

_LEAST = 32
"""A part of fewer bytes is not worth the jump."""


def unreached(parts: list[Part], reached: Collection[int]) -> list[Part]:
    """Returns the parts, none inside another, whose marks are not among those that were reached."""
    found: list[Part] = []
    for part in parts:
        inside = found and part.begin < found[-1].end
        if part.mark not in reached and not inside and part.end - part.begin >= _LEAST:
            found.append(part)
    return found


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
