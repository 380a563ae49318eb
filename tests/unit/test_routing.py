"""The routing rule and its configurations."""

from __future__ import annotations

import pytest

from filter.address import AddressError, packed
from filter.configuration import read_configuration
from filter.readers import ConfigurationError
from filter.routing import ISTIO, STANDALONE, route


@pytest.mark.parametrize(
    ("source", "router"),
    [
        ("172.22.0.10:42148", 1),
        ("172.22.0.11:35736", 2),
        ("10.0.0.0:1", 1),
        ("10.0.0.255:65535", 2),
        ("10.0.0.2", 1),
        ("[2001:db8::3]:8080", 2),
        ("2001:db8::2", 1),
        ("fe80::1%eth0", 2),
        ("[::ffff:203.0.113.9]:5555", 2),
        ("[::ffff:203.0.113.8]:5555", 1),
        ("::", 1),
    ],
)
def test_even_goes_to_the_first_router_and_odd_to_the_second(source: str, router: int) -> None:
    address = packed(source.encode())
    assert route(address, STANDALONE.clusters) == f"egress-router{router}"
    assert route(address, STANDALONE.clusters_at(80)) == f"egress-router{router}"
    for port, router_port in ((80, 8081), (443, 8080), (8080, 8080), (0, 8080)):
        expected = f"outbound|{router_port}||egress-router{router}.default.svc.cluster.local"
        assert route(address, ISTIO.clusters_at(port)) == expected


@pytest.mark.parametrize("source", [None, b""])
def test_no_source(source: bytes | None) -> None:
    with pytest.raises(AddressError, match=r"^Missing source address property$"):
        packed(source)


def test_no_address() -> None:
    with pytest.raises(AddressError, match=r"^Failed to parse source address for routing: '/tmp/a\\nclient\.sock'$"):
        packed(b"/tmp/a\nclient.sock")


def test_configurations() -> None:
    assert read_configuration(b"standalone") is STANDALONE
    assert read_configuration(b"") is STANDALONE
    assert read_configuration(b" istio\n") is ISTIO
    assert STANDALONE.all_clusters() == ["egress-router1", "egress-router2"]
    assert len(set(ISTIO.all_clusters())) == 4


@pytest.mark.parametrize("text", [b"Istio", b"istio standalone", b"x" * 10_000])
def test_an_unknown_configuration_is_refused(text: bytes) -> None:
    with pytest.raises(ConfigurationError, match='it must be "standalone"') as caught:
        read_configuration(text)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)
