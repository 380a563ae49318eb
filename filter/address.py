"""Reads the IP address in Envoy's `source.address`: `10.0.0.1:4711`, `[2001:db8::1]:4711`, either also without port.

What is an address and what is none is as in Python's `ipaddress`. That module itself would take longer than all the rest
of the filter, for every connection, and memory in every VM.
"""

from __future__ import annotations

_OCTETS = {b"%d" % octet: octet for octet in range(256)}  # as written: no sign, no leading zero
_HEXADECIMAL = b"0123456789abcdefABCDEF"


class AddressError(ValueError):
    """There is no IP address: a Unix socket's path, nothing at all, or not what Envoy writes."""


def last_byte(source: bytes | None) -> int:
    """Returns the last byte of the packed address in `source`, or raises AddressError, never anything else."""
    if not source:
        raise AddressError("Missing source address property")
    # IPv4 comes first, and in one piece: it is what most connections have.
    octets = source.split(b".")
    if len(octets) == 4:
        first, second, third, rest = octets
        fourth, colon, port = rest.partition(b":")
        if first in _OCTETS and second in _OCTETS and third in _OCTETS and fourth in _OCTETS:
            if not colon or _is_port(port):
                return _OCTETS[fourth]
            raise _unreadable(source)
    host = source
    if source.startswith(b"["):
        host, _, rest = source[1:].partition(b"]")
        # `rest` is ":port" or nothing; a missing bracket leaves nothing too.
        if not (rest.startswith(b":") and _is_port(rest[1:])) and source != b"[%b]" % host:
            raise _unreadable(source)
    byte = _last_byte_of_ipv6(host)
    if byte is None:
        raise _unreadable(source)
    return byte


def _unreadable(source: bytes) -> AddressError:
    text = source.decode("utf-8", "backslashreplace")
    return AddressError(f"Failed to parse source address for routing: {text!r}")


def _is_port(text: bytes) -> bool:
    return text.isdigit() and (len(text) < 5 or (len(text) == 5 and text <= b"65535"))


def _last_byte_of_ipv6(text: bytes) -> int | None:
    """Returns the last byte of an IPv6 address without brackets, zone id allowed; None where there is none."""
    text, percent, zone = text.partition(b"%")
    if percent and (not zone or b"%" in zone or b"/" in zone):
        return None
    # The last four bytes may be written as IPv4: two groups' worth.
    byte = None
    before, _, last = text.rpartition(b":")
    if b"." in last:
        octets = last.split(b".")
        if len(octets) != 4 or not all(octet in _OCTETS for octet in octets):
            return None
        byte = _OCTETS[octets[3]]
        text = before + b":0:0"
    head, elision, tail = text.partition(b"::")
    groups = head.split(b":") if head or not elision else []
    if tail:
        groups += tail.split(b":")
    if len(groups) > 7 if elision else len(groups) != 8:
        return None
    for group in groups:
        if not 1 <= len(group) <= 4 or group.strip(_HEXADECIMAL):
            return None
    if byte is None:
        # A trailing "::" stands for zeros.
        byte = 0 if elision and not tail else int(groups[-1], 16) & 0xFF
    return byte
