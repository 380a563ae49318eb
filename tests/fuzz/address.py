"""Address parsing: whatever the bytes, `last_byte` and `packed` say what Python's `ipaddress` says, or raise AddressError."""

from __future__ import annotations

import ipaddress
import re

from filter.address import AddressError, last_byte, packed

_PORT = re.compile(r":[0-9]{1,5}", re.ASCII)
_MAPPED = bytes(10) + b"\xff\xff"


def expected(source: str) -> bytes | None:
    """Returns the packed address in `source` by way of ipaddress, 4 or 16 bytes; None where there is no address."""
    host, port = source, ""
    try:
        if source.startswith("["):
            host, bracket, port = source[1:].partition("]")
            if not bracket:
                return None
            address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.IPv6Address(host)
        elif source.count(":") == 1:
            host, colon, port = source.partition(":")
            port = colon + port
            address = ipaddress.IPv4Address(host)
        else:
            address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if port and not (_PORT.fullmatch(port) and int(port[1:]) <= 65535):
        return None
    return address.packed


def check(data: bytes) -> None:
    """Parses `data`; raises AssertionError where the contract does not hold."""
    # Only digits, letters and a few signs mean something, so any encoding that keeps them will do.
    address = expected(data.decode("latin-1"))
    try:
        byte = last_byte(data)
    except AddressError as error:
        assert address is None, f"{data!r} is refused, but it is {address!r}"
        assert str(error).isprintable()
    else:
        assert address is not None and byte == address[-1], f"{data!r} ends with {byte}, but it is {address!r}"
    try:
        whole = packed(data)
    except AddressError:
        assert address is None, f"{data!r} is refused, but it is {address!r}"
    else:
        assert address is not None and whole == address.removeprefix(_MAPPED), f"{data!r} is {address!r}, not {whole!r}"
