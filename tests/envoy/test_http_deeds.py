"""No sequence of what a filter can do with a request ends Envoy: every pair and triple, in every callback, under both failure policies.

And what comes of each is what the test host says. The last test shows that the same Envoy dies of the same deeds if nobody refuses them.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from envoy import process
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.training import answer_calls
from tests.envoy import http_stack
from tests.envoy.guests import deeds
from tests.envoy.guests.deeds import CALLBACKS, DEEDS

MODULE = Path("tests/envoy/guests/deeds.wasm").absolute()
POLICIES = ("open", "closed")
CLIENTS = 32
# A request that is held back for good: its client gives up.
PAUSE_SECONDS = 0.5

PAIRS = [f"{callback}:{'+'.join(done)}" for callback in CALLBACKS for done in itertools.product(DEEDS, repeat=2)]
TRIPLES = [f"{callback}:{'+'.join(done)}" for callback in CALLBACKS for done in itertools.product(DEEDS, repeat=3)]
PLANS = [*(f"{pair}:return" for pair in PAIRS + TRIPLES), *(f"{pair}:pause" for pair in PAIRS)]

CRASHES = (
    "on_request_headers:continue_response:return",
    "on_log:send_response:return",
    "on_done:reset:return",
    "on_response_headers:send_response+send_response:return",
    "on_response_headers:send_response+reset:return",
    "on_response_trailers:reset:return",
)


class Came(NamedTuple):
    """What came of a plan: of its deeds, as the filter logs it, and what the client got of a response."""

    deeds: str
    status: int
    body: bytes
    complete: bool


def simulated(policy: str, plan: str) -> tuple[Came, bool]:
    """Returns what comes of a plan with a test host, and whether the client waits for ever."""
    with InProcess() as vm:
        deeds.register()
        assert vm.start(root_id=policy.encode())
        exchange = vm.exchange()
        exchange.request({"x-plan": plan}, "body", {"x-trailer": "t"})
        answer_calls(vm)
        if exchange.upstream.ended and not exchange.was_reset and not exchange.local_response:
            exchange.respond(200, {}, ["answer", " body"], {"x-trailer": "t"})
            answer_calls(vm)
        got = exchange.downstream
        exchange.close()
        (line,) = [line for line in vm.host.lines() if line.startswith("# ")]
        came = Came(line.partition(" = ")[2], got.status, got.body, got.ended)
        return came, not got.ended and not exchange.was_reset


def said(envoy: process.Envoy, policy: str) -> dict[str, str]:
    """Returns what came of each plan's deeds, from Envoy's log."""
    lines = [line for line in envoy.log_lines("# ") if f"wasm log {policy} " in line]
    return dict(line.partition("# ")[2].split(" = ") for line in lines)


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Envoy]:
    with http_stack.run(MODULE, POLICIES, tmp_path_factory.mktemp("envoy")) as (running, _):
        yield running


def play(envoy: process.Envoy, policy: str, plan: str, seconds: float = 1.0) -> http_stack.Answer:
    # Envoy may be gone.
    with contextlib.suppress(OSError):
        return http_stack.request(envoy.listeners[policy], [("x-plan", plan)], seconds=seconds)
    return http_stack.Answer()


@pytest.mark.parametrize("policy", POLICIES)
def test_envoy_lives_and_the_test_host_is_as_it_is(
    envoy: process.Envoy, policy: str, record_property: Callable[[str, object], None]
) -> None:
    simulations = {plan: simulated(policy, plan) for plan in PLANS}
    expected = {plan: came for plan, (came, _) in simulations.items()}

    def run(plan: str) -> http_stack.Answer:
        return play(envoy, policy, plan, PAUSE_SECONDS if simulations[plan][1] else 30.0)

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = dict(zip(PLANS, pool.map(run, PLANS), strict=True))
    assert envoy.process.poll() is None, f"Envoy died:\n{envoy.log.read_text(errors='replace')[-3000:]}"
    assert http_stack.request(envoy.listeners[policy]).body == b"answer body"
    # The last ones are logged when their clients have gone.
    deadline = time.monotonic() + 5
    while set(PLANS) - said(envoy, policy).keys() and time.monotonic() < deadline:
        time.sleep(0.1)
    deeds_said = said(envoy, policy)
    came = {
        plan: Came(deeds_said.get(plan, "not played"), answer.status, answer.body, answer.complete)
        for plan, answer in answers.items()
    }
    wrong = [
        f"{plan}: Envoy {came[plan]}, the test host {expected[plan]}" for plan in PLANS if came[plan] != expected[plan]
    ]
    assert not wrong, f"{len(wrong)} of {len(PLANS)} plans\n" + "\n".join(wrong[:20])
    record_property("plans", len(PLANS))


@pytest.mark.parametrize("plan", CRASHES)
def test_the_same_deeds_end_envoy_if_nobody_refuses_them(plan: str, tmp_path: Path) -> None:
    with http_stack.run(MODULE, ["raw"], tmp_path) as (envoy, _):
        play(envoy, "raw", plan)
        deadline = time.monotonic() + 5
        while envoy.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert envoy.process.poll() is not None, "this Envoy survives it: look whether the SDK still need refuse it"
