"""HTTP filters in a real Envoy: headers, bodies, `await`, gRPC, failures, and a root that has connections too (guests/web.py)."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from envoy import process
from proxy_wasm.testing import local_reply
from proxy_wasm.testing.records import LocalResponse
from tests.envoy import http_stack
from tests.envoy.http_stack import Answer, Server, request

MODULE = Path("tests/envoy/guests/web.wasm").absolute()
ROOTS = ("headers", "whole", "pieces", "awaiting", "calling", "unary", "talking", "raising", "mixed")
_TYPE = "type.googleapis.com/envoy.extensions.filters"
_OF_A_LOCAL_RESPONSE = ("content-type", "grpc-status", "grpc-message", "x-denied")
"""Not the content-length: HTTP/1.1 has one without a body too."""
_BROKEN = (
    b"envoy reverse bridge: upstream responded with unsupported content-type text/plain, status code 500{via_upstream}"
)
_BRIDGE = "http.grpc_http1_reverse_bridge.v3.FilterConfig"


def grpc_answer(path: str) -> bytes:
    """Returns a message for the bridge, something that is no message, or nothing at all."""
    if path.endswith("Never"):
        return b""
    kind, status = ("application/grpc+proto", 200) if path.endswith("Fine") else ("text/plain", 500)
    return b"HTTP/1.1 %d X\r\ncontent-type: %b\r\ncontent-length: 4\r\n\r\nfine" % (status, kind.encode())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[process.Envoy, Server]]:
    # Envoy itself is the gRPC server: it makes plain HTTP of a call, and a call's answer of the answer.
    bridge = {
        "name": "envoy.filters.http.grpc_http1_reverse_bridge",
        "typed_config": {
            "@type": f"{_TYPE}.{_BRIDGE}",
            "content_type": "application/grpc+proto",
            "withhold_grpc_frames": True,
        },
    }
    tcp = {"@type": f"{_TYPE}.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tcp", "cluster": "upstream"}
    # What a route adds goes to a filter's own response too, and stays there.
    overriding = http_stack.manager(http_stack.wasm("awaiting", MODULE))
    [host] = overriding["typed_config"]["route_config"]["virtual_hosts"]
    host["routes"][0]["response_headers_to_add"] = [{"header": {"key": "grpc-status", "value": "0"}}]
    port = free_port()
    with contextlib.closing(Server(grpc_answer)) as server:
        listeners = [
            http_stack.listener("overriding", overriding),
            http_stack.listener("grpc_server", http_stack.manager(bridge, to="grpc_backend"), port=port),
            http_stack.listener(
                "mixed_tcp",
                http_stack.wasm("mixed", MODULE, "network"),
                {"name": "envoy.filters.network.tcp_proxy", "typed_config": tcp},
            ),
        ]
        clusters = [
            http_stack.cluster("grpc", port, {"http2_protocol_options": {}}),
            http_stack.cluster("grpc_backend", server.port),
        ]
        with http_stack.run(MODULE, ROOTS, tmp_path_factory.mktemp("envoy"), listeners, clusters) as running:
            yield running


def ask(
    stack: tuple[process.Envoy, Server],
    root: str,
    *headers: tuple[str, str],
    body: bytes = b"body",
    trailers: bool = True,
) -> tuple[Answer, list[Answer], list[str]]:
    """Sends a request; returns the answer, what the server got, and what the filter said."""
    envoy, server = stack
    requests, lines = len(server.requests), len(envoy.log_lines("# "))
    answer = request(envoy.listeners[root], headers, body, 5.0, trailers)
    time.sleep(0.3)  # for the log
    said = [line.partition("# ")[2] for line in envoy.log_lines("# ")[lines:]]
    return answer, [got for path, got in server.requests[requests:] if path == "/"], said


def test_headers(stack: tuple[process.Envoy, Server]) -> None:
    given = [("x-user", "me"), ("x-two", "1"), ("X-Two", "2"), ("x-gone", "1")]
    answer, (got,), said = ask(stack, "headers", *given)
    seen = "seen [b'me', None, [b'1', b'2'], True, False, True, True]"
    assert said == [seen, "no response headers []", "no request headers []"]
    assert (got.headers["x-two"], "x-gone" in got.headers, got.trailers) == ("one", False, {"x-trailer": "changed"})
    assert got.headers["x-three"] in ("a,b", "b")  # the last one, where they are lines of their own
    assert (answer.status, answer.headers["x-for"], "x-server" in answer.headers) == (202, "me", False)
    assert answer.body == b"answer body"


@pytest.mark.parametrize("trailers", [True, False])
def test_whole_bodies(stack: tuple[process.Envoy, Server], trailers: bool) -> None:
    answer, (got,), _ = ask(stack, "whole", body=b"0123456789" * 5000, trailers=trailers)
    assert got.body == b"<" + b"0123456789" * 5000 + b">" and "content-length" not in got.headers
    assert (got.trailers == {"x-trailer": "t"}) == trailers
    assert (answer.status, answer.body, answer.trailers) == (200, b"[answer body]", {"x-trailer": "t"})


def test_a_whole_body_that_is_too_large(stack: tuple[process.Envoy, Server]) -> None:
    answer, got, _ = ask(stack, "whole", body=bytes(2 << 20))
    assert (answer.status, got) == (413, [])


def test_pieces(stack: tuple[process.Envoy, Server]) -> None:
    answer, (got,), said = ask(stack, "pieces", trailers=False)
    assert said[0].startswith("piece 4 4 b'bod' b'ody' ")
    assert (got.body, answer.body) == (b"body", b"answer body")


def test_await(stack: tuple[process.Envoy, Server]) -> None:
    answer, (got,), _ = ask(stack, "awaiting")
    assert (got.headers["x-answers"], got.body, got.trailers) == ("200 200", b"body", {"x-trailer": "t"})
    assert (answer.headers["x-answer"], answer.body) == ("answer body", b"answer body")
    answer, nothing, _ = ask(stack, "awaiting", ("x-denied", "1"))
    assert (answer.status, answer.headers["x-denied"], answer.body, nothing) == (403, "yes", b"answer body", [])


@pytest.mark.parametrize("root", ["calling", "unary"])
def test_a_grpc_call_that_succeeds(stack: tuple[process.Envoy, Server], root: str) -> None:
    answer, (got,), said = ask(stack, root, ("x-method", "Fine"))
    assert said == ["answered 0 b'fine'"]
    assert (got.headers["x-answer"], answer.status) == ("fine", 200)


@pytest.mark.parametrize("root", ["calling", "unary"])
def test_a_grpc_call_that_fails(stack: tuple[process.Envoy, Server], root: str) -> None:
    answer, got, said = ask(stack, root, ("x-method", "Broken"))
    assert said == ["answered 2 b''"]
    assert (answer.status, got) == (503, [])


@pytest.mark.parametrize(
    "content_type", ["application/grpc", "application/grpc+proto", "application/grpc-web", "text/plain"]
)
@pytest.mark.parametrize(
    ("root", "given", "response"),
    [
        ("awaiting", ("x-denied", "1"), LocalResponse(403, b"", b"answer body", [(b"x-denied", b"yes")], -1)),
        ("calling", ("x-method", "Broken"), LocalResponse(503, b"", _BROKEN, [], 2)),
    ],
)
def test_a_local_response_is_what_the_test_host_makes_of_it(
    stack: tuple[process.Envoy, Server], content_type: str, root: str, given: tuple[str, str], response: LocalResponse
) -> None:
    grpc = local_reply.is_grpc([(b"content-type", content_type.encode())])
    headers, body = local_reply.sent(response, grpc)
    answer = request(stack[0].listeners[root], [given, ("content-type", content_type)], b"body", 5.0, False)
    found = {name: value for name, value in answer.headers.items() if name in _OF_A_LOCAL_RESPONSE}
    expected = {name.decode(): value.decode() for name, value in headers if name != b"content-length"}
    assert (str(answer.status), found, answer.body) == (expected.pop(":status"), expected, body)


def test_a_route_overrides_a_grpc_status(stack: tuple[process.Envoy, Server]) -> None:
    headers = [("x-denied", "1"), ("content-type", "application/grpc")]
    assert request(stack[0].listeners["awaiting"], headers, b"body", 5.0, False).headers["grpc-status"] == "7"
    assert request(stack[0].listeners["overriding"], headers, b"body", 5.0, False).headers["grpc-status"] == "0"


def test_a_grpc_call_that_nobody_answers(stack: tuple[process.Envoy, Server]) -> None:
    answer, got, said = ask(stack, "unary", ("x-method", "Never"))
    assert said == ["answered 14 b''"]
    assert (answer.status, got) == (503, [])


def test_a_grpc_stream(stack: tuple[process.Envoy, Server]) -> None:
    answer, _, said = ask(stack, "talking")
    assert answer.status == 200
    # The request may be over before: then nobody hears of the stream any more.
    assert said == ["initial True", "message b'fine'", "trailing b'0'", "close 0"][: len(said)]


def test_what_raises_is_answered(stack: tuple[process.Envoy, Server]) -> None:
    answer, got, said = ask(stack, "raising")
    assert (answer.status, got, said) == (500, [], ["details b'python_exception'"])


def test_one_root_for_connections_and_requests(stack: tuple[process.Envoy, Server]) -> None:
    envoy, _ = stack
    assert ask(stack, "mixed")[2] == ["request", "request logged"]
    answer, _, said = ask(stack, "mixed_tcp")
    assert (answer.body, said) == (b"answer body", ["connection"])
    lines = len(envoy.log_lines("# "))
    assert http_stack.exchange(envoy.listeners["mixed"], b"no HTTP at all\r\n\r\n").startswith(b"HTTP/1.1 400")
    time.sleep(0.3)
    assert [line.partition("# ")[2] for line in envoy.log_lines("# ")[lines:]] == ["request logged"]
