"""What Envoy makes of a local response; tests/envoy/test_http.py compares it with a real Envoy's."""

from __future__ import annotations

import pytest

from proxy_wasm.testing.local_reply import is_grpc, sent
from proxy_wasm.testing.records import LocalResponse, Pairs


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"application/grpc-web", False),
        (b"text/plain", False),
    ],
)
def test_a_grpc_call_has_its_content_type(content_type: bytes, expected: bool) -> None:
    assert is_grpc([(b":path", b"/"), (b"content-type", content_type)]) == expected


@pytest.mark.parametrize(("status", "expected"), [(401, b"16"), (403, b"7"), (503, b"14"), (418, b"2"), (200, b"2")])
def test_a_grpc_client_gets_what_its_specification_makes_of_a_status(status: int, expected: bytes) -> None:
    headers, body = sent(LocalResponse(status, b"", b"50% no\n", [(b"x-why", b"no")], -1), True)
    assert body == b"" and headers == [
        (b":status", b"200"),
        (b"x-why", b"no"),
        (b"content-type", b"application/grpc"),
        (b"grpc-status", expected),
        (b"grpc-message", b"50%25 no%0A"),
    ]


@pytest.mark.parametrize(("own", "expected"), [([], b"10"), ([(b"grpc-status", b"3")], b"3")])
def test_a_header_of_the_filter_goes_before_its_grpc_status(own: Pairs, expected: bytes) -> None:
    headers, _ = sent(LocalResponse(403, b"", b"", own, 10), True)
    assert [value for name, value in headers if name == b"grpc-status"] == [expected]


def test_others_get_a_response_as_it_is() -> None:
    headers, body = sent(LocalResponse(403, b"", b"{}", [(b"content-type", b"application/json")], 7), False)
    expected = [(b":status", b"403"), (b"content-type", b"application/json"), (b"content-length", b"2")]
    assert (headers, body) == (expected, b"{}")
