"""What is an address, and its last byte, is what Python's ipaddress says."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filter.address import AddressError, last_byte
from tests.fuzz.address import expected as expected_address


def expected(source: str) -> int | None:
    """Returns the last byte by way of ipaddress; None where there is no address."""
    address = expected_address(source)
    return None if address is None else address[-1]


def actual(source: bytes) -> int | None:
    try:
        return last_byte(source)
    except AddressError:
        return None


V4 = st.ip_addresses(v=4).map(str)
V6 = st.one_of(
    st.ip_addresses(v=6).map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded.upper()),
    V4.map("::ffff:{}".format),
    st.builds("{}%{}".format, st.ip_addresses(v=6), st.text(max_size=5)),
    # Right or nearly so.
    st.lists(st.sampled_from(["", "0", "1f", "ABCD", "12345", "g", "1.2.3.4", "+1"]), max_size=10).map(":".join),
)
PORTS = st.one_of(st.integers(0, 70_000).map(str), st.sampled_from(["", "-1", "+1", "00080", "000080", "٣"]))
SOURCES = st.one_of(
    V4,
    V6,
    st.builds("{}:{}".format, V4, PORTS),
    st.builds("[{}]:{}".format, V6, PORTS),
    V6.map("[{}]".format),
    st.lists(st.sampled_from(["", "0", "00", "01", "255", "256", "-1", "1 ", "٣"]), max_size=6).map(".".join),
    st.text("0123456789abcdefABCDEF:.[]%/ ", max_size=40),
    st.text(),
)


@given(SOURCES)
@example("999.1.1.1:80")
@example("1.2.3.4:99999")
@example("1.2.3.4:65536")
@example("1.2.3:80")
@example("01.2.3.4")
@example("1.2.3.4%eth0")
@example("[1.2.3.4]:80")
@example("[::1")
@example("::1]")
@example("[::1]80")
@example("[::1]:80:80")
@example("fe80::1%")
@example("fe80::1%a%b")
@example("[fe80::1%a/b]:80")
@example("[fe80::1%eth0.1.2.3]:80")
@example("1:2:3:4:5:6:7::")
@example("1:2:3:4:5:6:7:8::")
@example("::1.2.3.4")
@example("1.2.3.4::")
@example("1:1.2.3.4")
@example(":::")
@example("1::2::3")
def test_it_agrees_with_ipaddress(source: str) -> None:
    assert actual(source.encode("utf-8", "surrogatepass")) == expected(source)


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_that_envoy_writes(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    assert last_byte(f"{host}:{port}".encode()) == address.packed[-1]


@given(st.binary())
def test_bytes_give_a_byte_or_an_address_error(source: bytes) -> None:
    byte = actual(source)
    assert byte is None or 0 <= byte <= 255


def test_a_zone_id_need_not_be_text() -> None:
    assert last_byte(b"[fe80::a%\xff]:80") == 10
    with pytest.raises(AddressError):
        last_byte(b"[fe80::\xff]:80")
