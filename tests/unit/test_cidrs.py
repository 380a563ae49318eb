"""A packed list holds the addresses of its blocks, whatever they are, and the program that packs tells what it does not take."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filter import pack_cidrs
from filter.cidrs import PackedCidrs
from tests.policies import cases

PROGRAM = Path("filter/pack_cidrs.py")
EDGES = [
    "0.0.0.0/0",
    "0.0.0.0/8",
    "128.0.0.0/1",
    "255.255.255.255",
    "255.255.255.254/31",
    "::/0",
    "::",
    "8000::/1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
]


def run(text: str) -> subprocess.CompletedProcess[str]:
    # With the standard library alone, as the documents say.
    return subprocess.run([sys.executable, "-I", "-S", PROGRAM], input=text, capture_output=True, text=True)


# An IPv4-mapped address is no block: it is refused, as another test says.
WRITTEN = cases.ADDRESSES.filter(lambda address: not getattr(address, "ipv4_mapped", None)).map(str)


@given(
    st.lists(
        st.sampled_from(EDGES) | WRITTEN | cases.BLOCKS.filter(bool).map(lambda some: some[0]),
        min_size=1,
    ),
    st.lists(cases.ADDRESSES),
)
def test_a_packed_list_holds_what_is_in_its_blocks(texts: list[str], addresses: list[cases.Address]) -> None:
    networks = [ipaddress.ip_network(text) for text in texts]
    packed = PackedCidrs(pack_cidrs.pack(texts))
    for network in networks:
        for edge in (network.network_address, network.broadcast_address):
            assert packed.holds(edge.packed)
            neighbours = (int(edge) - 1, int(edge) + 1)
            addresses += [type(edge)(near) for near in neighbours if 0 <= near < 1 << edge.max_prefixlen]
    for address in addresses:
        assert packed.holds(address.packed) == any(address in network for network in networks)


def test_the_program_prints_what_the_filter_takes() -> None:
    done = run("# ours\n10.0.0.0/8\n\n192.168.0.0/16 ; offices\n192.169.0.0/16\n2001:db8::/32   # IPv6\n10.1.0.0/16\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert cases.unpacked(done.stdout.strip()) == ["10.0.0.0/8", "192.168.0.0/15", "2001:db8::/32"]
    assert PackedCidrs(done.stdout.strip()).holds(bytes([192, 169, 255, 255]))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "pack_cidrs: there are no blocks"),
        ("10.0.0.0/8\n10.0.0.1/8\n", "pack_cidrs: line 2: 10.0.0.1/8 has host bits set"),
        ("x\n", "pack_cidrs: line 1: 'x' does not appear to be an IPv4 or IPv6 network"),
        ("::ffff:10.0.0.0/104\n", "pack_cidrs: line 1: ::ffff:10.0.0.0/104 is an IPv4-mapped address; write the block"),
    ],
)
def test_the_program_names_the_line_that_it_does_not_take(text: str, reason: str) -> None:
    done = run(text)
    assert done.returncode == 1
    assert done.stderr.startswith(reason)
