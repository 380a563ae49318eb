"""What is said in each conversation: for both filters, a connection in each scene and the lines that come of it."""

from __future__ import annotations

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
    speak_and_be_closed,
    speak_into_the_void,
    speak_meanwhile,
)
from tests.envoy.talks import AWAITS, CONVERSATION

# ---- the filter with callbacks

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
no cluster: BadArgumentError about 'none'
no headers: BadArgumentError about 'authz'
no cluster to call: ParseFailureError about 'none'
no cluster to stream: ParseFailureError about 'none'
no function: NotFoundError about 'none'
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


_CONVERSATION = (
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
    Talk("has_no_endpoint", hello, [*NEW, "call: InternalFailureError about 'empty'", *HELLO]),
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

# ---- the filter that awaits

DONE = ["over"]
IN = ["answer 200 b'body'"]
WRONG = ["TypeError: on_new_connection() returned True: return a proxy_wasm.Action, or nothing"]

_AWAITING = (
    Talk("is_let_in", hello, [*NEW, *IN, *DONE, *HELLO]),
    Talk("is_turned_away", closed, [*NEW, "answer 403 b'body'", *DONE, *CLOSED]),
    Talk("times_out", closed, [*NEW, "answer 504 failed", *DONE, *CLOSED]),
    Talk("is_refused", closed, [*NEW, "answer 503 failed", *DONE, *CLOSED]),
    Talk("never_waits", hello, [*NEW, *DONE, *HELLO]),
    Talk("has_no_endpoint", hello, [*NEW, "call: InternalFailureError about 'empty'", *DONE, *HELLO]),
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

TALKS = {CONVERSATION: _CONVERSATION, AWAITS: _AWAITING}
"""The connections, by filter."""
