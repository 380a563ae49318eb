"""The IP address that a rule decides by, and what is said where there is none."""

from __future__ import annotations

from proxy_wasm import packed_address


class AddressError(ValueError):
    """There is no IP address: a Unix socket's path, nothing at all, or not what Envoy writes."""


def packed(source: bytes | None) -> bytes:
    """Returns the packed address in Envoy's `source.address`, 4 or 16 bytes, or raises AddressError.

    An IPv4-mapped IPv6 address gives the IPv4 address: ::ffff:10.0.0.1 is another way to write the same client.
    """
    if source is not None and (address := packed_address(source)) is not None:
        return address
    if not source:
        raise AddressError("Missing source address property")
    text = source.decode("utf-8", "backslashreplace")
    raise AddressError(f"Failed to parse source address for routing: {text!a}")
