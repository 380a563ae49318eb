"""Reads the IP address in Envoy's `source.address`: `10.0.0.1:4711`, `[2001:db8::1]:4711`, either also without port.

What is an address and what is none is as in Python's `ipaddress`. That module itself would take longer than all the rest
of the filter, for every connection, and memory in every VM.
"""

from __future__ import annotations

_OCTETS = {b"%d" % octet: octet for octet in range(256)}  # as written: no sign, no leading zero
_HEXADECIMAL = b"0123456789abcdefABCDEF"
_MISSING = "Missing source address property"
_IPV4_MAPPED = bytes(10) + b"\xff\xff"


class AddressError(ValueError):
    """There is no IP address: a Unix socket's path, nothing at all, or not what Envoy writes."""


def last_byte(source: bytes | None) -> int:
    """Returns the last byte of the packed address in `source`, or raises AddressError, never anything else."""
    if not source:
        raise AddressError(_MISSING)
    # IPv4 comes first, and in one piece: it is what most connections have.
    octets = source.split(b".")
    if len(octets) == 4:
        first, second, third, rest = octets
        fourth, colon, port = rest.partition(b":")
        if first in _OCTETS and second in _OCTETS and third in _OCTETS and fourth in _OCTETS:
            if _is_port(port) or not colon:
                return _OCTETS[fourth]
            raise _unreadable(source)
    return int(_ipv6_groups(source)[-1], 16) & 0xFF


def packed(source: bytes | None) -> bytes:
    """Returns the packed address in `source`, 4 or 16 bytes, or raises AddressError, never anything else.

    An IPv4-mapped IPv6 address gives the IPv4 address: ::ffff:10.0.0.1 is another way to write the same client.
    """
    if not source:
        raise AddressError(_MISSING)
    first, *others = source.split(b".")
    if first in _OCTETS:
        fourth = last_byte(source)  # raises unless the others are octets too
        return bytes((_OCTETS[first], _OCTETS[others[0]], _OCTETS[others[1]], fourth))
    address = b"".join([int(group, 16).to_bytes(2, "big") for group in _ipv6_groups(source)])
    return address[12:] if address.startswith(_IPV4_MAPPED) else address


def _unreadable(source: bytes) -> AddressError:
    text = source.decode("utf-8", "backslashreplace")
    return AddressError(f"Failed to parse source address for routing: {text!a}")


def _is_port(text: bytes) -> bool:
    return text.isdigit() and (len(text) < 5 or (len(text) == 5 and text <= b"65535"))


def _ipv6_groups(source: bytes) -> list[bytes]:
    """Returns the eight groups of an IPv6 address in hexadecimal; raises AddressError where there is none."""
    text = source
    if source.startswith(b"["):
        text, _, rest = source[1:].partition(b"]")
        # `rest` is ":port" or nothing; a missing bracket leaves nothing too.
        if not (rest.startswith(b":") and _is_port(rest[1:])) and source != b"[%b]" % text:
            raise _unreadable(source)
    text, percent, zone = text.partition(b"%")
    if percent and (not zone or b"%" in zone or b"/" in zone):
        raise _unreadable(source)
    # The last four bytes may be written as IPv4: two groups' worth.
    before, _, last = text.rpartition(b":")
    if b"." in last:
        octets = last.split(b".")
        if len(octets) != 4 or not all(octet in _OCTETS for octet in octets):
            raise _unreadable(source)
        first, second, third, fourth = [_OCTETS[octet] for octet in octets]
        text = b"%b:%02x%02x:%02x%02x" % (before, first, second, third, fourth)
    head, elision, tail = text.partition(b"::")
    groups = head.split(b":") if head or not elision else []
    if elision:
        last_groups = tail.split(b":") if tail else []
        # It stands for one group at least.
        groups += [b"0"] * max(8 - len(groups) - len(last_groups), 1) + last_groups
    if len(groups) != 8:
        raise _unreadable(source)
    for group in groups:
        if not 1 <= len(group) <= 4 or group.strip(_HEXADECIMAL):
            raise _unreadable(source)
    return groups
