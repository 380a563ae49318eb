"""The IP address that a rule decides by, and what is said if there is no such address."""

from __future__ import annotations

from proxy_wasm import packed_address


class AddressError(ValueError):
    """There is no IP address: a Unix socket's path, nothing at all, or not what Envoy writes."""


def packed(address: bytes | None, whose: str = "source") -> bytes:
    """Returns the packed address in Envoy's `source.address` or `destination.address`, 4 or 16 bytes, or raises AddressError.

    An IPv4-mapped IPv6 address gives the IPv4 address: ::ffff:10.0.0.1 is another way to write the same client.
    """
    if address is not None and (found := packed_address(address)) is not None:
        return found
    raise no_address(address, whose)


def no_address(address: bytes | None, whose: str = "source") -> AddressError:
    """Returns the exception for what `packed_address` does not take: it says what is there."""
    if not address:
        return AddressError(f"Missing {whose} address property")
    text = address.decode("utf-8", "backslashreplace")
    return AddressError(f"Failed to parse {whose} address for routing: {text!a}")
