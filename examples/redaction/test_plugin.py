import pytest

from proxy_wasm.testing.lifecycle import Vm


@pytest.mark.parametrize(
    ("content_type", "body", "redacted"),
    [
        ("text/plain", "write to ann@example.com!", b"write to ***************!"),
        ("application/json", '{"card": "4111 1111 1111 1111"}', b'{"card": "*******************"}'),
        ("text/plain", "nothing private, not even 2026", b"nothing private, not even 2026"),
        ("image/png", "ann@example.com", b"ann@example.com"),
    ],
)
def test_bodies(vm: Vm, content_type: str, body: str, redacted: bytes) -> None:
    exchange = vm.exchange()
    exchange.request()
    # A match that lies in two pieces is found too.
    exchange.respond(200, {"content-type": content_type}, [body[:16], body[16:]])
    assert exchange.downstream.body == redacted
