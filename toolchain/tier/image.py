"""What a tiered module's memories hold, and how the module holds that: the interpreter's tables, cold code, and the module's own data."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from toolchain.tier.contract import HEAD, KEPT, NONE, STATE
from toolchain.tier.memories import DAMAGED, OVERRUN, Places, place
from toolchain.tier.pack import Block, Compress, checksum, compress, cut, entries, pack_bodies, pack_image, segment
from toolchain.tier.plan import Plan
from toolchain.wasm.code import data_segment, passive_segment
from toolchain.wasm.format import DATA, Reader


@dataclass(frozen=True)
class Contents:
    """What the memories hold."""

    offsets: Sequence[int]
    """Where each function's body is among all bodies, by the function's number."""

    bodies: Sequence[Block]
    """The bodies in blocks; their addresses count from the first body."""

    tables: bytes
    """What the interpreter reads of the module: the function of each element, then the offsets."""

    image: Sequence[Block]
    """What the module's own memory holds at the start; nothing if the module keeps its data segments."""

    packed_tables: Sequence[Block]
    """The tables in blocks; nothing if the module's memory is not packed either, for then they are data as they are."""

    places: Places
    """The map of the tier's memory."""

    segment: int
    """The index of the passive data segment."""

    @property
    def at_start(self) -> Sequence[Block]:
        """The blocks that `_initialize` unpacks."""
        return [*self.image, *self.packed_tables]


@dataclass(frozen=True)
class _ColdCode:
    """All bodies, in the order in which they lie in memory."""

    offsets: Sequence[int]
    blocks: Sequence[Block]


def lay_out(plan: Plan, compress: Compress = compress) -> Contents:
    """Returns what the memories hold: this decides all addresses."""
    code = _cut_up(plan, _bodies(plan), compress)
    numbers = [NONE if function is None else function for function in plan.elements] + [*code.offsets]
    tables = struct.pack(f"<{len(numbers)}I", *numbers)
    image = [] if plan.image is None else [*pack_image(plan.image, compress)]
    packed_tables = [] if plan.image is None else [*pack_image(tables, compress)]
    packed = [*image, *packed_tables]
    places = place(plan.memories.begin, len(tables), packed, code.blocks, _widest(plan))
    own_segments = 0 if packed else Reader(plan.module.get(DATA)).u32()
    return Contents(code.offsets, code.blocks, tables, image, packed_tables, places, own_segments + 1)


def _bodies(plan: Plan) -> list[bytes]:
    """Returns the body of each function; a kept one's is only a head."""
    kinds = plan.declarations.kinds
    place_in_table = plan.places_in_table
    bodies = []
    for function, kind in enumerate(plan.declarations.functions):
        if function in place_in_table:
            parameters = len(kinds[kind].parameters)
            bodies.append(HEAD.form.pack(KEPT, kind, parameters, place_in_table[function], 0))
        else:
            bodies.append(plan.cold[function])
    # A kept function with cold parts has its cold body too, as one more function that nobody calls.
    return bodies + [plan.translation.bodies[function] for function in plan.cold_parts]


def _cut_up(plan: Plan, bodies: Sequence[bytes], compress: Compress) -> _ColdCode:
    """Lays bodies one behind the other, in blocks that are fetched as a whole."""
    # What a start calls lies together, so that most blocks stay packed, and what is alike lies together, so that it packs well.
    # A training asks for functions: there each is a block.
    first = {*plan.kept, *plan.started}
    order = list(range(len(bodies)))
    if not plan.training:
        order.sort(key=lambda number: (number not in first, bodies[number], number))
    offsets, end = [0] * len(bodies), 0
    ordered: tuple[list[bytes], list[bytes]] = ([], [])
    for number in order:
        body, part = bodies[number], ordered[not plan.training and number not in first]
        if part and part[-1] == body and not plan.training:
            # Most of these are what is left out: one trap is enough.
            offsets[number] = end - len(body)
            continue
        offsets[number] = end
        end += len(body)
        part.append(body)
    blocks = ordered[0] if plan.training else [*cut(ordered[0]), *cut(ordered[1])]
    return _ColdCode(offsets, [*pack_bodies(blocks, None if plan.training else compress)])


def _widest(plan: Plan) -> int:
    """Returns the most slots that compiled code puts into a frame: a call's parameters, or the locals of a part."""
    calls = (len(kind.parameters) for kind in plan.declarations.kinds)
    parts = (HEAD.form.unpack_from(plan.translation.bodies[function])[3] for function in plan.cold_parts)
    return max((*calls, *parts), default=0)


def segments(plan: Plan, contents: Contents, loops: int) -> list[bytes]:
    """Returns the segments that the tier adds, an active and the passive one; `loops` is the element of the interpreter's first loop."""
    places = contents.places
    bodies = (Block(places.bodies + block.at, block.size, block.packed) for block in contents.bodies)
    blocks = [*contents.at_start, *bodies]
    passive = segment(blocks)
    behind = OVERRUN + DAMAGED
    behind += bytes(places.blocks - places.overrun - len(behind)) + entries(blocks)
    state = STATE.pack(
        own_checksum=0,
        offsets=places.elements + 4 * len(plan.elements),
        bodies=places.bodies,
        blocks=places.blocks,
        block_count=len(blocks),
        image=len(contents.image),
        at_start=len(contents.at_start),
        room=places.room,
        limit=places.limit,
        elements=places.elements,
        element_count=len(plan.elements),
        types=len(plan.declarations.kinds),
        loops=loops,
        packed=len(passive),
        unused=0,
        checksum=checksum(behind + passive),
    )
    fields = state[STATE.offset("offsets") :]
    head = checksum(fields).to_bytes(len(state) - len(fields), "little") + fields + behind
    if contents.at_start:
        active = data_segment(places.state, head, plan.own.memory)
    else:
        active = data_segment(places.elements, contents.tables + head, plan.own.memory)
    return [active, passive_segment(passive)]
