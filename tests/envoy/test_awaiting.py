"""Coroutines in a filter behave with the test hosts as in Envoy: one conversation with guests/awaiting.py, held with three hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.envoy.scripts import (
    CLOSED,
    FINISHED,
    HELLO,
    LEFT,
    NEW,
    RAISED,
    Talk,
    closed,
    hello,
    leave,
    speak_and_be_closed,
    speak_into_the_void,
    speak_meanwhile,
)
from tests.envoy.talks import AWAITS, HOSTS, Talker, talker_of

DONE = ["over"]
IN = ["answer 200 b'body'"]
WRONG = ["TypeError: on_new_connection() returned True: return a proxy_wasm.Action, or nothing"]

TALKS = (
    Talk("is_let_in", hello, [*NEW, *IN, *DONE, *HELLO]),
    Talk("is_turned_away", closed, [*NEW, "answer 403 b'body'", *DONE, *CLOSED]),
    Talk("times_out", closed, [*NEW, "answer 504 failed", *DONE, *CLOSED]),
    Talk("is_refused", closed, [*NEW, "answer 503 failed", *DONE, *CLOSED]),
    Talk("never_waits", hello, [*NEW, *DONE, *HELLO]),
    Talk("has_no_endpoint", hello, [*NEW, "call: InternalFailureError", *DONE, *HELLO]),
    Talk("asks_twice", hello, [*NEW, "answer 503 failed", *IN, *DONE, *HELLO]),
    Talk("asks_two_at_once", hello, [*NEW, "both [200, 403]", *DONE, *HELLO]),
    Talk("one_of_two_raises", hello, [*NEW, *IN, "caught on purpose", *DONE, *HELLO]),
    Talk("raises", hello, [*NEW, *IN, *DONE, *RAISED, *HELLO]),
    Talk("raises", closed, [*NEW, *IN, *DONE, *RAISED, *CLOSED], "closed"),
    Talk("raises_at_once", hello, [*NEW, *DONE, *RAISED, *HELLO]),
    Talk("raises_at_once", closed, [*NEW, *DONE, *RAISED, *CLOSED], "closed"),
    Talk("returns_true", hello, [*NEW, *IN, *DONE, *WRONG, *HELLO]),
    Talk("returns_true", closed, [*NEW, *IN, *DONE, *WRONG, *CLOSED], "closed"),
    Talk("leaves", leave, [*NEW, "cut short", *DONE, *LEFT], "early"),
    Talk("asks_about_first_bytes", hello, [*NEW, *DONE, HELLO[0], *IN, "held: b'hello'", *HELLO[1:]]),
    Talk("asks_about_first_bytes", hello, [*NEW, *DONE, HELLO[0], *IN, "held: b'hello'", *HELLO[1:]], "early"),
    Talk(
        "speaks_meanwhile",
        speak_meanwhile,
        [
            *NEW,
            *IN,
            *DONE,
            "downstream 10 False b'hellohello'",
            "upstream 10 False b'hellohello'",
            *FINISHED,
        ],
        "early",
    ),
    # Nobody behind the filter sees the bytes.
    Talk("speaks_and_is_turned_away", speak_and_be_closed, [*NEW, *IN, *DONE, HELLO[0], *CLOSED], "early"),
    Talk("stays_paused", hello, [*NEW, *IN, *DONE, *HELLO], "early"),
    Talk("stays_paused", speak_into_the_void, [*NEW, *IN, *DONE]),
    Talk("calls_back", hello, [*NEW, *IN, *DONE, "callback 403", *HELLO]),
    Talk("root_asks", hello, [*NEW, *DONE, "root 200", *HELLO]),
)


@pytest.fixture(scope="module", params=HOSTS)
def talker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talker]:
    with talker_of(AWAITS, request.param, tmp_path_factory.mktemp(request.param)) as talker:
        yield talker


@pytest.mark.parametrize("talk", TALKS, ids=str)
def test_the_same_is_said(talker: Talker, talk: Talk, record_property: Callable[[str, object], None]) -> None:
    assert talker.talk(talk.listener, talk.scene, talk.script, len(talk.said)) == talk.said
    record_property("lines", len(talk.said))


def test_every_scene_is_played() -> None:
    assert {talk.scene for talk in TALKS} == set(AWAITS.scenes)
