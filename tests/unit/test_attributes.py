"""Attributes: the module is the table's, and each type is read as Envoy writes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import proxy_wasm
from proxy_wasm import Action, attributes
from proxy_wasm.testing import lifecycle
from proxy_wasm.testing.attributes import TYPES, module, read
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.records import HostStatus

PACKAGE = Path(os.path.abspath(proxy_wasm.__file__)).parent
GUIDE = (PACKAGE / "README.md").read_text(encoding="utf-8")


def test_the_module_is_the_tables() -> None:
    assert (PACKAGE / "attributes.py").read_text(encoding="utf-8") == module(read())


def test_the_guide_names_each_group() -> None:
    for group in read():
        assert f"`{group}`" in GUIDE.partition("## Attributes")[2].partition("\n## ")[0]


def reading(properties: dict[str, Any], read: Callable[[], object]) -> object:
    """Returns what is read in a callback."""
    found: list[object] = []

    class Stream(proxy_wasm.StreamContext):
        def on_new_connection(self) -> None:
            found.append(read())

    with InProcess(type("Root", (proxy_wasm.RootContext,), {"stream_context": Stream})) as vm:
        assert vm.start()
        assert vm.connection(properties).new_connection() == Action.CONTINUE
        assert not vm.host.lines(4), vm.host.lines(4)
    return found[0]


@pytest.mark.parametrize(
    ("given", "read", "expected"),
    [
        ({"request.path": "/a"}, lambda: attributes.request.path, "/a"),
        ({"request.path": b"/\xff"}, lambda: attributes.request.path, "/\udcff"),
        ({"source.port": 4711}, lambda: attributes.source.port, 4711),
        ({"response.grpc_status": -1}, lambda: attributes.response.grpc_status, -1),
        ({"connection.mtls": True}, lambda: attributes.connection.mtls, True),
        ({"connection.mtls": False}, lambda: attributes.connection.mtls, False),
        ({"request.headers": {"a": "b"}}, lambda: attributes.request.headers, {"a": "b"}),
        ({"xds.node": b"\x0a\x00"}, lambda: attributes.xds.node, b"\x0a\x00"),
        ({"connection.requested_server_name": "a.b"}, lambda: attributes.connection.sni, "a.b"),
        ({"plugin_name": "mine"}, lambda: attributes.plugin.name, "mine"),
        ({"source.address": "10.0.0.1:4711"}, lambda: attributes.source.ip, "10.0.0.1"),
        ({"source.address": "[2001:db8::1]:4711"}, lambda: attributes.source.ip, "2001:db8::1"),
        ({"source.address": "10.0.0.1"}, lambda: attributes.source.ip, "10.0.0.1"),
        ({"source.address": "2001:db8::1"}, lambda: attributes.source.ip, "2001:db8::1"),
        ({"source.address": "/a/socket"}, lambda: attributes.source.ip, None),
        ({"source.address": "10.0.0.1:4711"}, lambda: attributes.source.packed_ip, bytes([10, 0, 0, 1])),
        ({"source.address": "/a/socket"}, lambda: attributes.source.packed_ip, None),
        ({}, lambda: attributes.destination.address, "127.0.0.1:10000"),
        ({}, lambda: attributes.destination.port, 10000),
        ({"destination.port": 443}, lambda: attributes.destination.port, 443),
        ({"destination.address": "/a/socket"}, lambda: attributes.destination.port, None),
    ],
)
def test_a_type_is_read(given: dict[str, Any], read: Callable[[], object], expected: object) -> None:
    value = reading(given, read)
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize("row", [row for _, rows in read().values() for row in rows], ids=lambda row: ".".join(row[:2]))
def test_what_is_not_there_is_none(row: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_DESTINATION", {})
    assert row.type in TYPES and row.about
    expected = "" if row.group == "plugin" and row.name == "root_id" else None
    assert reading({}, lambda: getattr(getattr(attributes, row.group), row.name)) == expected


def test_an_object_that_envoy_does_not_have_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, path: bytes) -> bytes:
        raise HostStatus("SERIALIZATION_FAILURE")

    monkeypatch.setattr("proxy_wasm.testing.host.Host.proxy_get_property", refuse)
    assert reading({}, lambda: attributes.xds.upstream_host_metadata) is None


def test_the_source_has_a_port() -> None:
    seen: list[object] = []

    class Request(proxy_wasm.HttpContext):
        def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
            seen.append((attributes.source.ip, attributes.source.port))

    with InProcess(type("Root", (proxy_wasm.RootContext,), {"http_context": Request})) as vm:
        assert vm.start()
        vm.exchange(source="[::1]:443").request()
        vm.exchange({"source.port": 1}, source="10.0.0.1").request()
    assert seen == [("::1", 443), ("10.0.0.1", 1)]
