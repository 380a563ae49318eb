"""Every example in one real Envoy: what its README shows is what a client sees, or what the log says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from envoy import process
from examples.names import EXAMPLES
from tests.envoy import example_stack, http2
from tests.envoy.conftest import wait_for

MODULE = Path("tests/envoy/guests/examples.wasm").absolute()
# What a filter that decides by chance does not do in so many tries is never done.
TRIES = 60
REQUESTS = 20
# A callback that awaits, bodies on both sides, and what workers share.
IN_EACH_PROTOCOL = ("await_chain", "http_body_operations", "shared_data")


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: str


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Envoy]:
    configuration = example_stack.merged(EXAMPLES, MODULE)
    with process.run(configuration, tmp_path_factory.mktemp("envoy")) as running:
        yield running


@pytest.fixture(scope="module")
def four_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Envoy]:
    configuration = example_stack.merged(IN_EACH_PROTOCOL, MODULE)
    with process.run(configuration, tmp_path_factory.mktemp("four"), workers=4) as running:
        yield running


@dataclass
class Client:
    """A client of one example."""

    envoy: process.Envoy
    example: str
    source: str = "127.0.0.1"
    http2: bool = False

    def request(
        self,
        path: str = "/",
        headers: dict[str, str] | None = None,
        body: str | None = None,
        listener: str = "main",
    ) -> Response:
        """Sends a request to a listener of the example's; it is a POST if it has a body."""
        address = self.envoy.listeners[f"{self.example}.{listener}"]
        if self.http2:
            sent = None if body is None else body.encode()
            got, data = http2.request(address, path, headers or {}, sent, self.source)
            return Response(int(got[":status"]), got, data.decode())
        connection = http.client.HTTPConnection(*address, timeout=10, source_address=(self.source, 0))
        parts: list[bytes] = []
        try:
            connection.connect()
            # In one piece: a server that does not wait for the body would answer before a filter has seen it.
            setattr(connection, "send", parts.append)  # noqa: B010
            connection.request("GET" if body is None else "POST", path, body, headers or {})
            connection.sock.sendall(b"".join(parts))
            answer = connection.getresponse()
            return Response(answer.status, dict(answer.getheaders()), answer.read().decode())
        finally:
            connection.close()

    def logs(self, pattern: str) -> bool:
        """Tells whether the example's plugin logs what this expression matches, in some seconds."""
        line = re.compile(rf"wasm log {self.example}\S*( \S+)?: {pattern}")
        return wait_for(lambda: any(map(line.search, self.envoy.log_lines("wasm log"))), 10)


def example_of(test: str) -> str:
    """Returns the example that a test is named after; "" if it is nobody's."""
    return max((example for example in EXAMPLES if test.startswith(f"test_{example}")), key=len, default="")


@pytest.fixture
def client(envoy: process.Envoy, request: pytest.FixtureRequest) -> Client:
    """A client of the example that the test is named after."""
    return Client(envoy, example_of(request.node.originalname))


def test_all_examples_are_here() -> None:
    folders = {path.parent.name for path in Path("examples").glob("*/plugin.py")}
    tested = {example_of(name) for name in globals()} - {""}
    rows = set(re.findall(r"^\| \[(\w+)\]", Path("examples/README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(EXAMPLES) == folders == tested == rows


def test_hello_world(client: Client) -> None:
    assert client.logs("Hello, World!")
    assert client.logs(r"It's \d\d:\d\d:\d\d UTC, your lucky number is \d+\.")


def test_vm_plugin_configuration(client: Client) -> None:
    assert client.logs("VM configuration: the VM's") and client.logs("plugin configuration: the plugin's")


def test_foreign_call_on_tick(client: Client) -> None:
    assert client.logs(r"foreign function \(compress\) called: 2, result: 789c")


def test_dispatch_call_on_tick(client: Client) -> None:
    assert client.logs(r"answer 1: status (200|503)") and client.logs("server: envoy")


def test_tcp_routing(envoy: process.Envoy, client: Client) -> None:
    for last_octet, body in ((2, "even\n"), (3, "odd\n")):
        client.source = f"127.0.0.{last_octet}"
        assert client.request().body == body


def test_network(envoy: process.Envoy, client: Client) -> None:
    assert client.request().body == "example body\n"
    assert client.logs("downstream data: b'GET / HTTP/1.1")
    assert client.logs("from .* in region ap-northeast-1")
    assert client.logs("connection complete!")
    assert envoy.counter("wasmcustom.network.connections") == 1


def test_http_headers(client: Client) -> None:
    response = client.request(headers={"test": "worst", "this-is-key": "this-is-value"})
    assert response.headers["x-got-test"] == "best" and response.headers["x-wasm-header"] == "demo-wasm"
    assert client.logs("#\\d+ -> this-is-key: this-is-value") and client.logs("#\\d+ <- server: envoy")
    assert client.request("/hello").body == "Hello, World!\n"
    assert client.logs("#\\d+ completed.")


def test_http_body(client: Client) -> None:
    assert client.request("/secret").body == "Original message body (9 bytes) redacted.\n"
    assert client.request().body == "nothing special\n"


@pytest.mark.parametrize("side", ["request", "response"])
def test_http_body_operations(client: Client, side: str) -> None:
    for operation, body in (
        ("append", "[original body][this is appended body]"),
        ("prepend", "[this is prepended body][original body]"),
        ("replace", "[this is replaced body]"),
    ):
        headers = {"buffer-replace-at": side, "buffer-operation": operation}
        assert client.request(headers=headers, body="[original body]").body == body
    assert client.logs(re.escape(f"original {side} body: b'[original body]'"))


def test_http_body_operations_needs_a_body(client: Client) -> None:
    assert client.request().status == 400


def test_http_body_chunk(client: Client) -> None:
    refused = client.request(body="here is the pattern")
    assert (refused.status, refused.body) == (403, "pattern found in chunk: 1")
    assert client.request(body="nothing here").body == "no pattern\n"


def test_http_config(client: Client) -> None:
    assert client.request().headers["custom-header"] == "from the configuration"


def test_http_auth_random(client: Client) -> None:
    found = {client.request().body for _ in range(TRIES)}
    assert found == {"you got in\n", "Access forbidden.\n"}
    assert client.logs("Access granted.") and client.logs("Access forbidden.")


def test_grpc_auth_random(client: Client) -> None:
    grpc = {"content-type": "application/grpc"}
    found = [client.request("/hello.Hello/Say", grpc, "").headers for _ in range(TRIES)]
    assert {headers["grpc-status"] for headers in found} == {"0", "10"}
    assert {headers["powered-by"] for headers in found} == {"proxy-wasm"}
    assert client.request("/grpc.reflection.v1.ServerReflection", grpc, "").headers["grpc-status"] == "0"
    assert client.request().status == 503


def test_filter_metadata(client: Client) -> None:
    response = client.request(headers={"x-custom-metadata": "hello"})
    assert response.body == "Custom response with Envoy metadata: HELLO\n"
    assert "set the header" in client.request().body


def test_shared_queue(client: Client) -> None:
    assert client.request(listener="http").body == "hello\n"
    assert client.request(listener="tcp").body == "example body\n"
    assert client.logs('from http_request_headers: {"key": ":method", "value": "GET"}')
    assert client.logs('from http_response_headers: {"key": ":status", "value": "200"}')
    assert client.logs("from tcp_data_hashes: [0-9a-f]{64}")


def test_shared_data(client: Client) -> None:
    for number in (1, 2, 3):
        client.request()
        assert client.logs(f"shared value: {number}")


def test_http_routing(client: Client) -> None:
    found = {client.request().body for _ in range(TRIES)}
    assert found == {"hello from canary!\n", "hello from primary!\n"}


def test_json_validation(client: Client) -> None:
    json_type = {"content-type": "application/json"}
    assert client.request(headers=json_type, body='{"id": "abc123", "token": "xyz456"}').body == "valid\n"
    assert client.request(headers=json_type, body='{"id": "abc123"}').body == "invalid payload: missing: token\n"
    assert client.request(body="{}").status == 403


def test_multiple_dispatches(client: Client) -> None:
    response = client.request()
    assert (response.headers["total-dispatched"], response.body) == ("10", "hello\n")
    assert client.logs("pending dispatched requests: 0")


def test_postpone_requests(client: Client) -> None:
    assert client.request().body == "hello\n"
    assert client.logs("postpone request \\d+") and client.logs("resume request \\d+")


def test_postpone_requests_of_a_client_that_left(client: Client) -> None:
    with socket.create_connection(client.envoy.listeners["postpone_requests.main"]) as gone:
        gone.sendall(b"GET / HTTP/1.1\r\nhost: example.com\r\n\r\n")
    assert client.request().body == "hello\n"


def test_properties(client: Client) -> None:
    for path, headers, status in (
        ("/one", {}, 401),
        ("/one", {"cookie": "value"}, 200),
        ("/two", {"cookie": "value"}, 401),
        ("/two", {"authorization": "token"}, 200),
        ("/three", {}, 200),
    ):
        assert client.request(path, headers).status == status


def test_metrics(envoy: process.Envoy, client: Client) -> None:
    for value in ("foo", "foo", "bar"):
        client.request(headers={"my-custom-header": value})
    found = envoy.get("/stats/prometheus?filter=custom_header_value_counts")
    assert re.search(r'custom_header_value_counts\{value="foo",reporter="python"\} 2\n', found), found
    assert re.search(r'custom_header_value_counts\{value="bar",reporter="python"\} 1\n', found), found


def token(key: bytes, expires: int) -> str:
    parts = {"alg": "HS256", "typ": "JWT"}, {"sub": "alice", "exp": expires}
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    signature = hmac.digest(key, b".".join(texts), hashlib.sha256)
    return b".".join([*texts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def test_jwt_check(client: Client) -> None:
    key, future = b"an example's key", 4_000_000_000
    response = client.request(headers={"authorization": f"Bearer {token(key, future)}", "x-user": "root"})
    assert (response.status, response.headers["x-got-user"]) == (200, "alice")
    for authorization, refusal in (
        (f"Bearer {token(b'another', future)}", "the signature is wrong\n"),
        (f"Bearer {token(key, 1)}", "the token is expired\n"),
        ("Basic YTpi", "there is no token\n"),
    ):
        response = client.request(headers={"authorization": authorization})
        assert (response.status, response.body) == (401, refusal)


def test_redaction(client: Client) -> None:
    profile = json.loads(client.request("/profile").body)
    assert profile == {"name": "Ann", "mail": "***************", "card": "*******************"}
    assert client.request().body == "hello\n"


def test_ip_policy(client: Client) -> None:
    assert client.request().body == "you got in\n"
    client.source = "127.0.0.2"
    assert client.request().status == 403


def test_ab_report(client: Client) -> None:
    found = {user: client.request(headers={"x-user": user}).headers["x-variant"] for user in map(str, range(20))}
    assert set(found.values()) == {"a", "b"}
    assert found == {user: client.request(headers={"x-user": user}).headers["x-variant"] for user in found}
    counts = {variant: 2 * list(found.values()).count(variant) for variant in ("a", "b")}
    report = {variant: {"requests": number, "errors": 0} for variant, number in counts.items()}
    assert client.logs(re.escape(json.dumps(report)))


def test_await_tcp(client: Client) -> None:
    assert client.request().body == "you got in\n"
    client.source = "127.0.0.2"
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        client.request()
    assert client.logs("127.0.0.2:\\d+: blocklist 403, quota 200")


def test_await_chain(client: Client) -> None:
    response = client.request(headers={"authorization": "Bearer ann"}, body="hello")
    assert (response.headers["x-got-plan"], response.body) == ("gold", "you got in\n")
    response = client.request(headers={"authorization": "Bearer eve"})
    assert (response.status, response.body) == (401, "who are you?\n")


@pytest.mark.parametrize("with_http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("workers", ["envoy", "four_workers"])
def test_each_protocol_and_number_of_workers(workers: str, with_http2: bool, request: pytest.FixtureRequest) -> None:
    envoy: process.Envoy = request.getfixturevalue(workers)
    chain, bodies, shared = (Client(envoy, example, http2=with_http2) for example in IN_EACH_PROTOCOL)
    before = len(envoy.log_lines("shared value: "))

    def once(number: int) -> tuple[str, int, str, int]:
        let_in = chain.request(headers={"authorization": "Bearer ann"}, body=f"hello {number}")
        refused = chain.request(headers={"authorization": "Bearer eve"})
        operation = {"buffer-replace-at": "response", "buffer-operation": "prepend"}
        body = bodies.request(headers=operation, body=f"[{number}]").body
        return let_in.headers["x-got-plan"], refused.status, body, shared.request().status

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(once, range(REQUESTS)))
    assert found == [("gold", 401, f"[this is prepended body][{number}]", 200) for number in range(REQUESTS)]
    # No two requests are given the same number, in whatever workers they are.
    counted = range(1, before + REQUESTS + 1)
    assert wait_for(lambda: len(envoy.log_lines("shared value: ")) == len(counted), 10)
    lines = envoy.log_lines("shared value: ")
    assert sorted(int(line.rpartition(" ")[2]) for line in lines) == list(counted)


def test_four_workers_were_four(four_workers: process.Envoy) -> None:
    served = re.findall(r"worker_\d\.downstream_cx_total: [1-9]", four_workers.get("/stats?filter=worker_.*cx_total"))
    assert len({worker[:8] for worker in served}) == 4, served


def test_no_plugin_raised_meanwhile(envoy: process.Envoy, four_workers: process.Envoy) -> None:
    assert not envoy.log_lines("Traceback") and not four_workers.log_lines("Traceback")
