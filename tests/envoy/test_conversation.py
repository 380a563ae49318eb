"""The test hosts are as Envoy is: one conversation, held with three hosts, in which the same is called and the same comes back."""

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
    hello_in_pieces,
    leave,
    speak_into_the_void,
)
from tests.envoy.talks import CONVERSATION, HOSTS, RealEnvoy, Talker, talker_of

IN_PIECES = ["downstream 5 False b'hello'", "downstream 10 False b'hellohello'", "upstream 10 False b'hellohello'"]
TICK = ["tick: property NotFoundError"]
AROUND = """\
arguments: b''
downstream: b''
downstream status: (0, 0)
upstream: b''
answer: None
answer status: None
vm configuration: b'vm configuration'
plugin configuration: None
no buffer: BadArgumentError
set downstream: BadArgumentError
set answer: NotFoundError
header: BadArgumentError
headers: []
no map: BadArgumentError
answer failed: True
continue upstream: UnimplementedError
done: NotFoundError
nobody: BadArgumentError
self again: None
no cluster: BadArgumentError
no headers: BadArgumentError
no function: NotFoundError
one gauge: 7
numbers: (1, 4, 0, 2)
count nothing: BadArgumentError
count down: BadArgumentError
gauge down: None
gauge: 4
increment histogram: BadArgumentError
histogram: BadArgumentError
no counter: NotFoundError
no kind: BadArgumentError
record no kind: NotFoundError
define no kind: BadArgumentError
property: b'kept'
deep property: None
forged: False
no data: None
no queue: None
own queue: True
dequeue nothing: None
dequeue nowhere: NotFoundError
log nowhere: BadArgumentError"""


def answer(status: int, body: str = "b'body'") -> list[str]:
    """Returns what a stream says of an answer; an answer has no trailers here, and cannot be changed."""
    return [f"answer {status} {body} 0", "trailer: BadArgumentError", "set: BadArgumentError"]


TALKS = (
    Talk("is_let_in", hello, [*NEW, *answer(200), *HELLO]),
    Talk("is_turned_away", closed, [*NEW, *answer(403), *CLOSED]),
    Talk("times_out", closed, [*NEW, *answer(504, "failed"), *CLOSED]),
    Talk("is_refused", closed, [*NEW, *answer(503, "failed"), *CLOSED]),
    Talk("is_cut_off", closed, [*NEW, *answer(503, "failed"), *CLOSED]),
    Talk("hears_nonsense", closed, [*NEW, *answer(502, "failed"), *CLOSED]),
    Talk("raises", hello, [*NEW, *answer(200), *RAISED, *HELLO]),
    Talk("raises", closed, [*NEW, *answer(200), *RAISED, *CLOSED], "closed"),
    Talk("retries", hello, [*NEW, *answer(503, "failed"), *answer(200), *HELLO]),
    Talk("lets_in_twice", hello, [*NEW, *answer(200), *HELLO]),
    Talk("has_no_endpoint", hello, [*NEW, "call: InternalFailureError", *HELLO]),
    # The answer comes when the connection is gone: nobody is told.
    Talk("leaves", leave, [*NEW, *LEFT], "early"),
    Talk("root_asks", hello, [*NEW, *TICK, "root 200 4", *HELLO]),
    Talk("root_raises", hello, [*NEW, *TICK, "root 200 4", *RAISED, *HELLO]),
    Talk("root_raises", hello, [*NEW, *TICK, "root 200 4", *RAISED, *HELLO], "closed"),
    Talk("root_answers_for_the_stream", hello, [*NEW, "root 200 4"], "silent"),
    Talk("tick_lets_in", hello, [*NEW, *TICK, *HELLO]),
    Talk("looks_around", hello, [*NEW, *AROUND.splitlines(), *HELLO]),
    Talk("sniffs", hello_in_pieces, [*NEW, *IN_PIECES, *FINISHED], "early"),
    Talk("asks_about_first_bytes", hello, [*NEW, HELLO[0], *answer(200), "held: b'hello'", *HELLO[1:]], "early"),
    Talk("sniffs", speak_into_the_void, NEW),
    Talk("holds_data_back", hello_in_pieces, [*NEW, *IN_PIECES, *FINISHED]),
)


@pytest.fixture(scope="module", params=HOSTS)
def talker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talker]:
    with talker_of(CONVERSATION, request.param, tmp_path_factory.mktemp(request.param)) as talker:
        yield talker


@pytest.mark.parametrize("talk", TALKS, ids=str)
def test_the_same_is_said(talker: Talker, talk: Talk, record_property: Callable[[str, object], None]) -> None:
    assert talker.talk(talk.listener, talk.scene, talk.script, len(talk.said)) == talk.said
    record_property("lines", len(talk.said))


@pytest.mark.parametrize("callback", ["on_new_connection", "on_downstream_data"])
def test_true_is_no_action(talker: Talker, callback: str) -> None:
    scene = "returns_true" if callback == "on_new_connection" else "returns_true_for_data"
    mistake = f"TypeError: {callback}() returned True: return a proxy_wasm.Action, or nothing"
    # The failure policy CONTINUE holds.
    data = (
        HELLO if callback == "on_new_connection" else [HELLO[0], mistake, HELLO[1], FINISHED[0], mistake, *FINISHED[1:]]
    )
    expected = [*NEW, mistake, *data] if callback == "on_new_connection" else [*NEW, *data]
    assert talker.talk("open", scene, hello, len(expected)) == expected


def test_a_line_that_may_not_be_logged_decides_nothing(talker: Talker) -> None:
    # Nothing that raises would let it in: the failure policy is CLOSE.
    assert talker.talk("restricted", "counts_and_logs", hello, 0) == []
    if isinstance(talker, RealEnvoy):
        counters = talker.envoy.get("/stats?filter=conversation")
        assert "conversation.counted: 0" in counters


def test_every_scene_is_played() -> None:
    played = {talk.scene for talk in TALKS} | {"returns_true", "returns_true_for_data", "counts_and_logs"}
    assert played == set(CONVERSATION.scenes)
