"""The test hosts are as Envoy is: conversations held with three hosts, in which the same is called and the same comes back.

One filter has callbacks (guests/conversation.py), the other coroutines (guests/awaiting.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.envoy.plays import TALKS
from tests.envoy.scripts import FINISHED, HELLO, NEW, Talk, hello
from tests.envoy.talks import CONVERSATION, HOSTS, Guest, RealEnvoy, Talker, talker_of

PLAYED = [
    pytest.param((guest, host), talk, id=f"{guest.name}-{host}-{talk}")
    for guest, talks in TALKS.items()
    for host in HOSTS
    for talk in talks
]


@pytest.fixture(scope="module")
def talker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talker]:
    guest, host = request.param
    with talker_of(guest, host, tmp_path_factory.mktemp(host)) as talker:
        yield talker


@pytest.mark.parametrize(("talker", "talk"), PLAYED, indirect=["talker"], scope="module")
def test_the_same_is_said(talker: Talker, talk: Talk, record_property: Callable[[str, object], None]) -> None:
    assert talker.talk(talk.listener, talk.scene, talk.script, len(talk.said)) == talk.said
    record_property("lines", len(talk.said))


on_every_host = pytest.mark.parametrize("talker", [(CONVERSATION, host) for host in HOSTS], indirect=True, ids=HOSTS)


@on_every_host
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


@on_every_host
def test_a_line_that_may_not_be_logged_decides_nothing(talker: Talker) -> None:
    # Nothing that raises would let it in: the failure policy is CLOSE.
    assert talker.talk("restricted", "counts_and_logs", hello, 0) == []
    if isinstance(talker, RealEnvoy):
        counters = talker.envoy.get("/stats?filter=conversation")
        assert "conversation.counted: 0" in counters


@pytest.mark.parametrize("guest", TALKS, ids=lambda guest: guest.name)
def test_every_scene_is_played(guest: Guest) -> None:
    others = {"returns_true", "returns_true_for_data", "counts_and_logs"} if guest == CONVERSATION else set()
    assert {talk.scene for talk in TALKS[guest]} | others == set(guest.scenes)
