"""Packs a long list of blocks of IP addresses into the text that `cidr_lists.<name>.packed` takes.

    python3 filter/pack_cidrs.py < blocks.txt

A block or an address a line; what follows a "#" or a ";" is a comment. Blocks that overlap or touch become one.
"""

from __future__ import annotations

import argparse
import ipaddress
import struct
import sys
from base64 import b64encode
from collections.abc import Iterable


def pack(lines: Iterable[str]) -> str:
    """Returns the packed list; raises ValueError for a line that is no block, or an IPv4-mapped one, or if there are no blocks."""
    blocks: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].partition(";")[0].strip()
        if not text:
            continue
        try:
            block = ipaddress.ip_network(text)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if isinstance(block, ipaddress.IPv6Network) and block.network_address.ipv4_mapped:
            raise ValueError(f"line {number}: {text} is an IPv4-mapped address; write the block of IPv4 addresses")
        start = int(block.network_address)
        blocks[block.version].append((start, start + block.num_addresses))
    if not any(blocks.values()):
        raise ValueError("there are no blocks")
    ipv4, ipv6 = boundaries(blocks[4], 32), boundaries(blocks[6], 128)
    packed = b"CIDR" + struct.pack(f"<I{len(ipv4)}I", len(ipv4), *ipv4)
    return b64encode(packed + b"".join([number.to_bytes(16, "big") for number in ipv6])).decode()


def boundaries(intervals: Iterable[tuple[int, int]], bits: int) -> list[int]:
    """Returns where the union of intervals begins and ends, without an end behind the last address."""
    found: list[int] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1]:
            found[-1] = max(found[-1], end)
        else:
            found += start, end
    return found[:-1] if found and found[-1] == 1 << bits else found


def main() -> None:
    """Packs what comes on standard input."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    try:
        print(pack(sys.stdin))
    except ValueError as error:
        sys.exit(f"pack_cidrs: {error}")


if __name__ == "__main__":
    main()
