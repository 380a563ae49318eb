"""No sequence of what a filter can do with a request ends Envoy: every pair and triple, in every callback, under both failure policies.

The last test shows that the same Envoy dies of the same deeds if nobody refuses them.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from envoy import process
from tests.envoy import http_stack
from tests.envoy.guests.deeds import CALLBACKS, DEEDS

MODULE = Path("tests/envoy/guests/deeds.wasm").absolute()
POLICIES = ("open", "closed")
CLIENTS = 12
# A request that is held back for good: its client gives up.
PAUSE_SECONDS = 0.2

PAIRS = [f"{callback}:{'+'.join(deeds)}" for callback in CALLBACKS for deeds in itertools.product(DEEDS, repeat=2)]
TRIPLES = [f"{callback}:{'+'.join(deeds)}" for callback in CALLBACKS for deeds in itertools.product(DEEDS, repeat=3)]
PLANS = [*(f"{pair}:return" for pair in PAIRS + TRIPLES), *(f"{pair}:pause" for pair in PAIRS)]

CRASHES = (
    "on_request_headers:continue_response:return",
    "on_log:send_response:return",
    "on_done:reset:return",
    "on_response_headers:send_response+send_response:return",
    "on_response_headers:send_response+reset:return",
    "on_response_trailers:reset:return",
)


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Envoy]:
    with http_stack.run(MODULE, POLICIES, tmp_path_factory.mktemp("envoy")) as (running, _):
        yield running


def play(envoy: process.Envoy, policy: str, plan: str) -> http_stack.Answer:
    waits = plan.endswith("pause") or "_answer" in plan
    seconds = PAUSE_SECONDS if waits else 2.0
    # Envoy may be gone.
    with contextlib.suppress(OSError):
        return http_stack.request(envoy.listeners[policy], {"x-plan": plan}, seconds=seconds)
    return http_stack.Answer()


@pytest.mark.parametrize("policy", POLICIES)
def test_envoy_lives(envoy: process.Envoy, policy: str, record_property: Callable[[str, object], None]) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda plan: play(envoy, policy, plan), PLANS))
    assert envoy.process.poll() is None, f"Envoy died:\n{envoy.log.read_text(errors='replace')[-3000:]}"
    assert http_stack.request(envoy.listeners[policy], {}).body == b"answer body"
    # Every plan was played: what came of it is in the log.
    played = {line.partition("# ")[2].partition(" = ")[0] for line in envoy.log_lines("# ")}
    deadline = time.monotonic() + 5
    while set(PLANS) - played and time.monotonic() < deadline:
        time.sleep(0.1)
        played = {line.partition("# ")[2].partition(" = ")[0] for line in envoy.log_lines("# ")}
    assert not set(PLANS) - played
    record_property("plans", len(PLANS))
    record_property("answers", sum(answer.status > 0 for answer in answers))


@pytest.mark.parametrize("plan", CRASHES)
def test_the_same_deeds_end_envoy_if_nobody_refuses_them(plan: str, tmp_path: Path) -> None:
    with http_stack.run(MODULE, ["raw"], tmp_path) as (envoy, _):
        play(envoy, "raw", plan)
        deadline = time.monotonic() + 5
        while envoy.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert envoy.process.poll() is not None, "this Envoy survives it: look whether the SDK still need refuse it"
