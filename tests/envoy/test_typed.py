"""What Envoy offers, by the SDK's typed names (guests/typed.py): each attribute is there, with its type, from its phase on."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envoy import process
from proxy_wasm.testing.attributes import Attribute, read
from proxy_wasm.testing.records import HostStatus
from proxy_wasm.testing.wasm import WasmModule
from tests.envoy import http_stack
from tests.envoy.http_stack import Server

MODULE = Path("tests/envoy/guests/typed.wasm").absolute()
CERTIFICATE = Path("tests/envoy/tls.pem").absolute()
# Of the certificate.
PUBLIC_KEY = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnqcAJrP1xoM4wms27b6qEEcOxDXe
DMWM/w1hanRO3xzdHx49AYxkeJG+kvhPiz/7bKlOBHBaWUzMlSo/s+A+IA==
-----END PUBLIC KEY-----
"""
PEM = b"-----BEGIN PRIVATE KEY-----"
NO_KEY = b"\x3dInvalid key type: private key required for signing operation."
_TYPE = "type.googleapis.com/envoy.extensions"
_METADATA = {"filter_metadata": {"test": {"key": "value"}}}


def tls(side: str) -> dict[str, Any]:
    """Returns a transport socket that shows the certificate and wants one."""
    file = {"filename": str(CERTIFICATE)}
    context: dict[str, Any] = {
        "common_tls_context": {
            "tls_certificates": [{"certificate_chain": file, "private_key": file}],
            "validation_context": {"trusted_ca": file},
        }
    }
    context |= {"sni": "example.com"} if side == "Upstream" else {"require_client_certificate": True}
    kind = f"{_TYPE}.transport_sockets.tls.v3.{side}TlsContext"
    return {"name": "tls", "typed_config": {"@type": kind, **context}}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def listener(name: str, *filters: dict[str, Any], port: int = 0) -> dict[str, Any]:
    """Returns a listener whose connections are TLS."""
    made = http_stack.listener(name, *filters, port=port)
    made["filter_chains"][0] |= {"transport_socket": tls("Downstream"), "name": "chain"}
    return {**made, "metadata": _METADATA, "traffic_direction": "INBOUND"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[process.Envoy, Server]]:
    port = free_port()
    cluster = http_stack.cluster("tls", port) | {"transport_socket": tls("Upstream"), "metadata": _METADATA}
    (locality,) = cluster["load_assignment"]["endpoints"]
    locality |= {"locality": {"region": "here"}, "metadata": _METADATA}
    locality["lb_endpoints"][0]["metadata"] = _METADATA
    proxy = {"@type": f"{_TYPE}.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tcp", "cluster": "tls"}
    manager = http_stack.manager(http_stack.wasm("attributes", MODULE), to="tls")
    (host,) = manager["typed_config"]["route_config"]["virtual_hosts"]
    host["metadata"] = host["routes"][0]["metadata"] = _METADATA
    listeners = [
        listener("server", http_stack.manager(), port=port),
        listener("http", manager),
        listener(
            "tcp",
            http_stack.wasm("attributes", MODULE, "network"),
            {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy},
        ),
    ]
    helping = http_stack.wasm("helping", MODULE)
    keys = {"private": CERTIFICATE.read_text(), "public": PUBLIC_KEY}
    plugin = helping["typed_config"]["config"]
    plugin["configuration"] = {"@type": "type.googleapis.com/google.protobuf.Struct", "value": keys}
    helped = http_stack.manager(helping)
    (host,) = helped["typed_config"]["route_config"]["virtual_hosts"]
    other = {"prefix": "/", "headers": [{"name": "x-route", "string_match": {"exact": "other"}}]}
    host["routes"].insert(0, {"match": other, "direct_response": {"status": 299}})
    routing = http_stack.wasm("helping", MODULE, "network")
    routing["typed_config"]["config"] = plugin
    nowhere = {**proxy, "cluster": "upstream"}
    listeners += [
        http_stack.listener("helped", helped),
        http_stack.listener("routed", routing, {"name": "envoy.filters.network.tcp_proxy", "typed_config": nowhere}),
    ]
    tags = [{"tag_name": tag, "regex": f"(;{tag}=([^;]*))"} for tag in ("method", "path", "side")]
    stats = {"stats_config": {"stats_tags": tags}}
    clusters = [cluster, http_stack.cluster("nowhere", free_port())]
    with http_stack.run(MODULE, ["asking"], tmp_path_factory.mktemp("envoy"), listeners, clusters, **stats) as running:
        yield running


def logged(envoy: process.Envoy, text: str, count: int) -> list[str]:
    """Returns the log's lines with a text, when there are so many."""
    deadline = time.monotonic() + 10
    while len(lines := envoy.log_lines(text)) < count:
        assert time.monotonic() < deadline, f"{len(lines)} lines of {count}"
        time.sleep(0.02)
    return lines


# ---- attributes

ROWS = [row for _, rows in read().values() for row in rows]
TYPES = {
    "string": "str",
    "ip": "str",
    "sni": "str",
    "packed_ip": "bytes",
    "message": "bytes",
    "bool": "bool",
    "map": "dict",
    "int": "int",
    "time": "int",
    "duration": "int",
}
CALLBACKS = {
    "http": ("on_request_headers", "on_response_headers", "on_log"),
    "tcp": ("on_new_connection", "on_upstream_data"),
}
_FROM_FIRST, _FROM_SECOND = (True, True, True), (False, True, True)
THERE = {
    "http": {
        **dict.fromkeys(("connection", "tls", "peer", "request"), _FROM_FIRST),
        **dict.fromkeys(("upstream", "upstream_tls"), _FROM_SECOND),
        "headers": (True, False, True),
        "log": (False, False, True),
    },
    "tcp": {
        **dict.fromkeys(("connection", "tls"), _FROM_FIRST),
        **dict.fromkeys(("peer", "upstream", "upstream_tls"), _FROM_SECOND),
    },
}
"""In which callbacks each phase has its attributes; a request's other rows are of HTTP alone."""

Found = dict[tuple[str, str, str], tuple[str, Any]]


@pytest.fixture(scope="module")
def found(stack: tuple[process.Envoy, Server]) -> dict[str, Found]:
    """The type and value of each attribute, by callback, group and name, as the filter read them."""
    envoy, _ = stack
    found: dict[str, Found] = {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(CERTIFICATE)
    for kind, callbacks in CALLBACKS.items():
        before = len(envoy.log_lines("# ["))
        sent = b"GET /a?b=c HTTP/1.1\r\nhost: example.com\r\nconnection: close\r\nuser-agent: me\r\nreferer: it\r\n\r\n"
        with (
            socket.create_connection(envoy.listeners[kind], 5) as client,
            context.wrap_socket(client, server_hostname="example.com") as secured,
            contextlib.suppress(OSError),
        ):
            secured.sendall(sent)
            while secured.recv(65536):
                pass
        wanted = len(ROWS) * len(callbacks)
        lines = logged(envoy, "# [", before + wanted)[before:]
        rows = [json.loads(line.partition("# ")[2]) for line in lines]
        found[kind] = {(callback, group, name): (type_, value) for callback, group, name, type_, value in rows}
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.group}.{row.name}")
@pytest.mark.parametrize("kind", CALLBACKS)
def test_an_attribute_has_its_type_from_its_phase_on(found: dict[str, Found], kind: str, row: Attribute) -> None:
    phase = "never" if kind == "tcp" and row.group in ("request", "response") else row.phase
    there = THERE[kind].get(phase, ())
    for place, callback in enumerate(CALLBACKS[kind]):
        type_, value = found[kind][callback, row.group, row.name]
        expected = {TYPES[row.type]} if any(there[place : place + 1]) else {TYPES[row.type], "NoneType"}
        assert type_ in expected, f"{callback}: {value}"


# ---- metrics and foreign functions


@pytest.fixture(scope="module")
def said(stack: tuple[process.Envoy, Server]) -> list[str]:
    """What the filter says of a request."""
    envoy, _ = stack
    before = len(envoy.log_lines("# "))
    answer = http_stack.request(envoy.listeners["helped"])
    assert answer.status == 299, "clear_route_cache did not choose the other route"
    said = logged(envoy, "# ", before + 18)[before:]
    return [line.partition("# ")[2] for line in said]


REFUSED = "proxy_call_foreign_function"


def test_foreign_functions(stack: tuple[process.Envoy, Server], said: list[str]) -> None:
    configured = {line.partition("# ")[2] for line in stack[0].log_lines("# ")}
    assert {
        "sum 2",
        f"no expression: BadArgumentError: {REFUSED} (expr_create): status 2",
        f"twice: BadArgumentError: {REFUSED} (declare_property, declared): status 2",
    } <= configured
    assert said[1:] == [
        "true: (False, True)",
        "no bool: TypeError: the expression is neither true nor false: destination.port",
        "no number: TypeError: the expression is no number: request.method == 'GET'",
        f"deleted: NotFoundError: {REFUSED} (expr_evaluate): status 1",
        f"not there: InternalFailureError: {REFUSED} (expr_evaluate): status 10",
        "compressed: True",
        f"not zlib: SerializationFailureError: {REFUSED} (uncompress): status 3",
        "signed: True",
        "no key: ValueError: sign: Invalid key type: private key required for signing operation.",
        "no public key: False",
        "wrong: False",
        f"no object: NotFoundError: {REFUSED} (set_envoy_filter_state, mine): status 1",
        "object: None",
        f"no function: NotFoundError: {REFUSED} (nothing): status 1",
        "declared: None",
        "as text: b'5'",
        "routes: None",
    ]


def test_the_built_module_has_the_same_answers_of_a_test_host(said: list[str]) -> None:
    vm = WasmModule(MODULE)
    functions = vm.host.foreign_functions
    functions[b"sign"] = lambda argument: b"\x08\x01\x12\x03sig" if PEM in argument else b"\x1a" + NO_KEY
    functions[b"verify_signature"] = lambda argument: b"\x08\x01" if b"\x1a\x03sig" in argument else b""

    def refuse() -> bytes:
        raise HostStatus("INTERNAL_FAILURE")

    vm.host.expressions = {
        "request.method == 'GET'": b"\0",
        "destination.port": lambda: vm.host.context.properties[b"destination\0port"],
        "request.headers['nothing'] == 'a'": refuse,
        "1 + 1": (2).to_bytes(8, "little"),
    }
    keys = json.dumps({"private": CERTIFICATE.read_text(), "public": PUBLIC_KEY})
    assert vm.start(configuration=keys.encode(), root_id=b"helping")
    for queue in vm.host.queues:
        vm.queue_ready(queue)
    lines = vm.host.lines()
    assert r"""# shared b"another's and mine" [None, b"another's"] 5 -2""" in lines and "# taken b'b'" in lines
    exchange = vm.exchange({"destination.port": 80})
    exchange.request({":method": "POST"})
    told = vm.host.lines()[len(lines) :]
    assert [line.removeprefix("# ") for line in told] == said
    assert exchange.context.routes_cleared == 1 and exchange.upstream.header("x-route") == b"other"
    found = {metric.name: metric.records or metric.value for metric in vm.host.metrics.values()}
    assert found == {b"requests;method=POST;path=/a.b_c": 1, b"open": 7, b"sizes;side=request": [100]}
    connection = vm.connection()
    connection.new_connection()
    assert connection.cluster == "tls"


def test_what_is_shared(stack: tuple[process.Envoy, Server]) -> None:
    configured = {line.partition("# ")[2] for line in stack[0].log_lines("# ")}
    assert r"""shared b"another's and mine" [None, b"another's"] 5 -2""" in configured
    assert {"taken b'a'", "taken b'b'"} <= configured


def test_metrics(stack: tuple[process.Envoy, Server], said: list[str]) -> None:
    envoy, _ = stack
    assert said[0] == "counted 1 7"
    found = envoy.get("/stats/prometheus?filter=wasmcustom")
    assert 'requests{method="POST",path="/a.b_c"} 1' in found
    assert "open{} 7" in found and 'sizes_count{side="request"}' in found


def test_route_to(stack: tuple[process.Envoy, Server]) -> None:
    """tcp_proxy has the cluster with the server; the filter's choice is a cluster that speaks TLS, to a listener with HTTP."""
    envoy, _ = stack
    before = envoy.counter("cluster.tls.upstream_cx_total")
    answer = http_stack.exchange(envoy.listeners["routed"], b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", 5)
    assert http_stack.read_message(answer).status == 200
    assert envoy.counter("cluster.tls.upstream_cx_total") > before


def test_a_function_for_each_answer(stack: tuple[process.Envoy, Server]) -> None:
    envoy, server = stack
    answer = http_stack.request(envoy.listeners["asking"])
    path, got = server.requests[-1]
    assert (answer.status, path) == (200, "/")
    assert (got.headers["x-first"], got.headers["x-second"]) == ("200 answer body", "True 503")
