"""Blocks of IP addresses, as intervals of one axis: the IPv4 addresses, and behind them the IPv6 addresses.

Blocks come as texts, which functions of C read many at a time. Or they come as a packed list, which is not taken apart at all:
`pack_cidrs.py` makes one.
"""

from __future__ import annotations

import struct
from binascii import a2b_base64
from bisect import bisect_right
from itertools import compress, repeat
from operator import add, itemgetter, lt, mod

from filter.intervals import merged
from proxy_wasm import packed_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from filter.intervals import Intervals

IPV4_END = 1 << 32
END = IPV4_END + (1 << 128)
MAGIC = b"CIDR"

_CHARACTERS = b"0123456789abcdefABCDEF.:/\n"
# By the length of an address and the text of the prefix length: how many addresses a block has.
_SIZES: dict[int, dict[str, int]] = {
    size: {"": 1}
    | {f"{length:0{digits}}": 1 << 8 * size - length for length in range(8 * size + 1) for digits in (1, 2, 3)}
    for size in (4, 16)
}
_host, _prefix = itemgetter(0), itemgetter(2)
_number = int.from_bytes


def interval(address: bytes, length: int) -> tuple[int, int]:
    """Returns the interval of a block."""
    start = _number(address) + (0 if len(address) == 4 else IPV4_END)
    return start, start + (1 << 8 * len(address) - length)


def address(number: int) -> bytes:
    """Returns the packed address that stands there on the axis."""
    return number.to_bytes(4, "big") if number < IPV4_END else (number - IPV4_END).to_bytes(16, "big")


def intervals(texts: Sequence[Any]) -> Intervals | None:
    """Returns the intervals of blocks, in their order; None if one of them is not a block, or is written unusually."""
    try:
        joined = "\n".join(texts)
    except TypeError:
        return None
    if not joined.isascii() or joined.encode().translate(None, _CHARACTERS) or "/\n" in joined or joined[-1:] == "/":
        return None
    if ":" not in joined:
        return _of_family(texts, 4)
    in_ipv6 = [":" in text for text in texts]
    ipv4 = _of_family([text for text in texts if ":" not in text], 4)
    ipv6 = _of_family(list(compress(texts, in_ipv6)), 16)
    if ipv4 is None or ipv6 is None:
        return None
    starts, ends = (list(map(add, places, repeat(IPV4_END))) for places in ipv6)
    return merged(in_ipv6, ipv4, (starts, ends))


def _of_family(texts: Sequence[str], size: int) -> tuple[list[int], list[int]] | None:
    parts = list(map(str.partition, texts, repeat("/")))
    addresses = list(map(packed_address, map(_host, parts)))
    sizes: list[Any] = list(map(_SIZES[size].get, map(_prefix, parts)))
    # An IPv4-mapped address has the length of the other family.
    if not all(addresses) or not all(sizes) or set(map(len, addresses)) - {size}:  # type: ignore[arg-type]
        return None
    starts = list(map(_number, addresses))  # type: ignore[arg-type]
    if any(map(mod, starts, sizes)):
        return None
    return starts, list(map(add, starts, sizes))


class PackedCidrs:
    """A long list of blocks, in the form in which it came: a connection costs one search in it, and reading it almost nothing.

    The form is the base64 of "CIDR", the number of IPv4 boundaries in four bytes, and these in four bytes each, lowest byte
    first. The IPv6 boundaries follow in sixteen bytes each, highest byte first. Each family's boundaries ascend. Where the
    last interval reaches the family's end, its second boundary is left out.
    """

    __slots__ = ("ipv4", "ipv6", "places")

    def __init__(self, text: str) -> None:
        """Raises ValueError, whose text says why, for what is not such a list."""
        data = a2b_base64(text, strict_mode=True)
        if data[:4] != MAGIC or len(data) < 8:
            raise ValueError('does not begin with "CIDR"')
        ipv6_at = 8 + 4 * int.from_bytes(data[4:8], "little")
        if ipv6_at > len(data) or (len(data) - ipv6_at) % 16:
            raise ValueError("is cut off")
        self.ipv4 = memoryview(data)[8:ipv6_at].cast("I")
        self.ipv6 = memoryview(data)[ipv6_at:]
        self.places = range(len(self.ipv6) // 16)
        if not (self.ipv4 or self.ipv6):
            raise ValueError("has no blocks")
        each = struct.Struct("16s").iter_unpack
        if not (all(map(lt, self.ipv4, self.ipv4[1:])) and all(map(lt, each(self.ipv6), each(self.ipv6[16:])))):
            raise ValueError("is not in order")

    def holds(self, address: bytes) -> bool:
        """Tells whether a packed address is in one of the blocks."""
        if len(address) == 4:
            return bisect_right(self.ipv4, _number(address)) & 1 == 1
        ipv6 = self.ipv6
        return bisect_right(self.places, address, key=lambda place: bytes(ipv6[16 * place : 16 * place + 16])) & 1 == 1
