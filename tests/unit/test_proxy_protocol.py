"""Headers of both versions of the PROXY protocol, and what is no header."""

from __future__ import annotations

import asyncio
import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egress_router import proxy_protocol
from egress_router.proxy_protocol import SIGNATURE, Header, HeaderError, read_header

IPV4 = Header(("10.244.0.10", 42666), ("203.0.113.80", 443))
IPV6 = Header(("fd00::10", 1), ("2001:db8::80", 65535))


def v1(header: Header) -> bytes:
    assert header.source and header.destination
    family = 6 if ":" in header.source[0] else 4
    (source, from_port), (destination, to_port) = header.source, header.destination
    return f"PROXY TCP{family} {source} {destination} {from_port} {to_port}\r\n".encode()


def v2(header: Header, extensions: bytes = b"") -> bytes:
    assert header.source and header.destination
    hosts = [ipaddress.ip_address(address[0]).packed for address in (header.source, header.destination)]
    addresses = b"".join(hosts) + struct.pack("!HH", header.source[1], header.destination[1]) + extensions
    return SIGNATURE + struct.pack("!BBH", 0x21, 0x11 if len(hosts[0]) == 4 else 0x21, len(addresses)) + addresses


def read(sent: bytes) -> tuple[Header, bytes]:
    """Returns the header and what comes behind it."""

    async def reading() -> tuple[Header, bytes]:
        reader = asyncio.StreamReader()
        reader.feed_data(sent)
        reader.feed_eof()
        return await read_header(reader), await reader.read()

    return asyncio.run(reading())


@pytest.mark.parametrize("made", [v1, v2])
@pytest.mark.parametrize("header", [IPV4, IPV6], ids=["IPv4", "IPv6"])
def test_both_versions_tell_both_ends(made: object, header: Header) -> None:
    assert callable(made)
    assert read(made(header) + b"GET / HTTP/1.1\r\n") == (header, b"GET / HTTP/1.1\r\n")


def test_what_the_specification_shows() -> None:
    assert read(b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n")[0].source == ("255.255.255.255", 65535)
    longest = b"PROXY UNKNOWN " + b" ".join([b"ffff:f...f:ffff"] * 2) + b" 65535 65535\r\n"
    assert read(longest + b"x") == (Header(), b"x")
    assert read(b"PROXY UNKNOWN\r\n") == (Header(), b"")


def test_extensions_change_nothing() -> None:
    assert read(v2(IPV4, b"\x03\0\4abcd") + b"x") == (IPV4, b"x")


@pytest.mark.parametrize("command", [0x20, 0x21])
def test_a_proxy_may_speak_for_itself(command: int) -> None:
    family = 0x11 if command == 0x20 else 0
    assert read(SIGNATURE + struct.pack("!BBH", command, family, 12) + bytes(12) + b"x") == (Header(), b"x")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "ended within"),
        (b"GET / HTTP/1.1\r\n\r\n", "begins with b'GET / HTTP/1'"),
        (b"PROXY TCP4 10.0.0.1", "ended within"),
        (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\n", "the line"),
        (b"PROXY TCP4 fd00::1 fd00::2 1 2\r\n", "fd00::1"),
        (b"PROXY TCP4 010.0.0.1 10.0.0.2 1 2\r\n", "010.0.0.1"),
        (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 65536\r\n", "port '65536'"),
        (b"PROXY TCP4 10.0.0.1 10.0.0.2 01 2\r\n", "port '01'"),
        (b"PROXY TCP4 10.0.0.1  10.0.0.2 1 2\r\n", "the line"),
        (b"PROXY UDP4 10.0.0.1 10.0.0.2 1 2\r\n", "the line"),
        (b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n", "the line"),
        (SIGNATURE + b"\x21", "ended within"),
        (SIGNATURE + b"\x11\x11\0\x0c" + bytes(12), "version and command 0x11"),
        (SIGNATURE + b"\x22\x11\0\x0c" + bytes(12), "version and command 0x22"),
        (SIGNATURE + b"\x21\x12\0\x0c" + bytes(12), "0x12, which is not TCP"),
        (SIGNATURE + b"\x21\x11\0\x0b" + bytes(11), "11 bytes of addresses"),
        (SIGNATURE + b"\x21\x11\xff\xff", "65535 bytes of addresses"),
    ],
)
def test_what_is_no_header(sent: bytes, reason: str) -> None:
    with pytest.raises(HeaderError, match=reason):
        read(sent)


def test_a_header_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_protocol, "HEADER_SECONDS", 0.01)

    async def silent() -> None:
        await read_header(asyncio.StreamReader())

    with pytest.raises(HeaderError, match="no whole header"):
        asyncio.run(silent())


@given(
    st.sampled_from([b"", SIGNATURE, SIGNATURE + b"\x21\x11", b"PROXY TCP4 ", b"PROXY TCP6 "]), st.binary(max_size=200)
)
def test_any_bytes_are_a_header_or_an_error_of_its_own(start: bytes, rest: bytes) -> None:
    try:
        header, _ = read(start + rest)
    except HeaderError:
        return
    assert (header.source is None) == (header.destination is None)
