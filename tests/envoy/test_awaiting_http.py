"""Coroutines of HTTP requests in Envoy (guests/waiting.py): the request or the response waits, nothing is lost, and Envoy lives."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from envoy import process
from tests.envoy import http_stack
from tests.envoy.http_stack import Answer, Server

MODULE = Path("tests/envoy/guests/waiting.wasm").absolute()
PLACES = {
    "request headers": "headers",
    "request body": "bodies",
    "response headers": "headers",
    "response body": "bodies",
}
"""Where a request may wait, and the root id for it."""
MISTAKE = "StreamStateError: send_response: the request has been answered or reset already"

Stack = tuple[process.Envoy, Server]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    root_ids = [root_id + policy for root_id in ("headers", "bodies", "both") for policy in ("", "-closed")]
    with socket.create_server(("127.0.0.1", 0)) as silent:  # and never accepts
        clusters = [http_stack.cluster("silent", silent.getsockname()[1])]
        with http_stack.run(MODULE, root_ids, tmp_path_factory.mktemp("envoy"), clusters=clusters) as running:
            yield running
            assert running[0].process.poll() is None


def play(stack: Stack, scene: str, listener: str) -> tuple[Answer, list[Answer]]:
    """Makes a request, and returns its answer and what the server behind got of it."""
    envoy, server = stack
    server.requests.clear()
    answer = http_stack.request(envoy.listeners[listener], [("x-scene", scene)])
    return answer, [request for path, request in server.requests if path == "/"]


def said(envoy: process.Envoy, scene: str, count: int) -> list[str]:
    deadline = time.monotonic() + 5
    while len(found := envoy.log_lines(f"# {scene}: ")) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    return [line.partition(f"# {scene}: ")[2] for line in found]


@pytest.mark.parametrize("place", PLACES)
def test_all_goes_on_after_the_wait(stack: Stack, place: str) -> None:
    answer, (request,) = play(stack, place, PLACES[place])
    changed = PLACES[place] == "bodies"
    assert (request.body, request.trailers) == (b"BODY" if changed else b"body", {"x-trailer": "t"})
    assert (answer.status, answer.trailers, answer.complete) == (200, {"x-trailer": "t"}, True)
    assert answer.body == (b"ANSWER BODY" if changed else b"answer body")
    assert changed or request.headers["x-seen"] == answer.headers["x-seen"] == "1"
    assert said(stack[0], place, 1) == ["200 answer body"]


@pytest.mark.parametrize(("deed", "told"), [("sleeps", []), ("is late", ["nothing came within 200 ms"])])
@pytest.mark.parametrize("place", PLACES)
def test_time_passes_and_all_goes_on(stack: Stack, place: str, deed: str, told: list[str]) -> None:
    scene, begin = f"{place}, {deed}", time.monotonic()
    answer, (request,) = play(stack, scene, PLACES[place])
    assert time.monotonic() - begin > 0.2
    assert (answer.status, answer.body.lower(), request.body.lower()) == (200, b"answer body", b"body")
    assert said(stack[0], scene, len(told) + 1) == [*told, "200 answer body"]


def test_nobody_is_woken_early(stack: Stack) -> None:
    """Envoy's tick comes up to a jiffy early, for libevent counts with the kernel's coarse clock."""
    scene = "request headers, naps"
    play(stack, scene, "headers")
    assert float(said(stack[0], scene, 2)[0]) <= 0


@pytest.mark.parametrize("deed", ["answers", "answers twice"])
@pytest.mark.parametrize("policy", ["", "-closed"])
@pytest.mark.parametrize("place", list(PLACES)[:3])
def test_it_is_answered_after_the_wait(stack: Stack, place: str, policy: str, deed: str) -> None:
    before = len(stack[0].log_lines(MISTAKE))
    answer, requests = play(stack, f"{place}, {deed}", PLACES[place] + policy)
    # The filter's own response comes to its on_response_complete as a server's does: that writes it in capitals.
    assert (answer.status, answer.body) == (403, b"NO" if place == "request body" else b"no")
    assert len(requests) == (place == "response headers")
    assert len(stack[0].log_lines(MISTAKE)) - before == (deed == "answers twice")


@pytest.mark.parametrize("policy", ["", "-closed"])
@pytest.mark.parametrize("place", PLACES)
def test_the_failure_policy_holds_after_the_wait(stack: Stack, place: str, policy: str) -> None:
    answer, requests = play(stack, f"{place}, raises", PLACES[place] + policy)
    if not policy:
        assert (answer.status, len(requests), answer.complete) == (200, 1, True)
        assert (requests[0].body.lower(), answer.body.lower()) == (b"body", b"answer body")
    elif place == "response body":
        # The client has the headers: what is left is a reset.
        assert not answer.complete
    else:
        assert answer.status == 500
        assert len(requests) == (place == "response headers")


@pytest.mark.parametrize("place", PLACES)
def test_it_is_closed_with_its_request(stack: Stack, place: str) -> None:
    envoy, _ = stack
    scene = f"{place}, hangs"
    answer = http_stack.request(envoy.listeners[PLACES[place]], [("x-scene", scene)], seconds=0.3)
    assert not answer.complete
    deeds = ("send_response", "reset", "continue_request", "continue_response")
    assert said(envoy, scene, len(deeds)) == [f"{deed}: the request is over" for deed in deeds]
    assert play(stack, place, PLACES[place])[0].status == 200


def test_envoy_loses_a_body_with_trailers_that_is_held_back_after_the_headers_were(stack: Stack) -> None:
    """If this fails, Envoy has learnt it, and the guide need not warn of it."""
    _, (request,) = play(stack, "request headers", "both")
    assert said(stack[0], "request headers", 3)[-1] == "body"
    assert (request.body, request.trailers) == (b"", {"x-trailer": "t"})
