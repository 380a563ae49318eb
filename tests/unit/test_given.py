"""What a test gives as attributes has a name and a form that Envoy knows, or the test is told."""

from __future__ import annotations

from typing import Any

import pytest

from proxy_wasm import RootContext
from proxy_wasm.testing.given import encoded
from proxy_wasm.testing.inprocess import InProcess


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("destination.port", "443x", "destination.port is a port, such as 443, and not '443x'"),
        ("destination.port", 65536, "is a port"),
        ("source.port", True, "is a port"),
        ("source.address", "banana", 'source.address is an address, such as "10.0.0.1:4711", '),
        ("upstream.local_address", "10.0.0.1:99999", "is an address"),
        ("request.path", 1, "request.path is text, and not 1"),
        ("request.size", "1", "request.size is a number of 64 bits"),
        ("request.size", 2**63, "is a number of 64 bits"),
        ("connection.mtls", 1, "connection.mtls is True or False, and not 1"),
        ("request.headers", {"a": 1}, "request.headers is a dict of texts"),
        ("xds.node", "me", "xds.node is a protobuf message's bytes"),
        ("plugin_name", 1, "plugin_name is text"),
        ("destination.prt", 443, "Envoy has no attribute destination.prt; did you mean destination.port?"),
        ("destinaton.port", 443, "did you mean destination.port?"),
        ("source.ip", "10.0.0.1", "source.ip is read from source.address: give that one"),
        ("no.such.thing", 1, "Envoy has no attribute no.such.thing; is it misspelt?"),
    ],
)
def test_what_envoy_does_not_have_is_refused(name: str, value: Any, text: str) -> None:
    with InProcess(RootContext) as vm:
        assert vm.start()
        for make in (vm.connection, vm.exchange):
            with pytest.raises(ValueError, match="attribute") as raised:
                make({name: value})
            assert text in str(raised.value)


def test_a_source_is_an_address_too() -> None:
    with InProcess(RootContext) as vm:
        assert vm.start()
        with pytest.raises(ValueError, match=r"the attribute source\.address is an address"):
            vm.connection(source="banana")
        assert vm.connection(source=b"banana").context.properties[b"source\0address"] == b"banana"


def test_what_envoy_has_and_bytes_are_taken() -> None:
    given: dict[str, Any] = {
        "source.address": "/run/x.sock",
        "source.port": 4711,
        "destination.address": b"banana",
        "request.headers.x-user": "ann",
        "xds.node.id": "me",
        "xds.cluster_metadata.filter_metadata.location": "here",
        "metadata.filter_metadata.mine.flag": True,
        "filter_state.mine": "text",
        "my_key": "set by another filter",
    }
    found = encoded(given)
    assert found[b"source\0port"] == b"\x67\x12\0\0\0\0\0\0" and found[b"destination\0address"] == b"banana"
    assert found[b"metadata\0filter_metadata\0mine\0flag"] == b"\1"
    assert [name.decode() for name in found] == [name.replace(".", "\0") for name in given]
    assert encoded({b"no\0such\0thing": b"?"}) == {b"no\0such\0thing": b"?"}
