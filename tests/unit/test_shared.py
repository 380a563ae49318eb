"""Shared data and queues as objects: no worker's change is lost, and what is not there is said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy_wasm import CasMismatchError, RootContext
from proxy_wasm.shared import TRIES, Queue, SharedDict
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.inprocess import InProcess


@pytest.fixture
def host() -> Iterator[Host]:
    with InProcess(RootContext) as vm:
        assert vm.start()
        vm.host.context_id = vm.root.context_id
        yield vm.host


def test_shared_data_is_a_mapping(host: Host) -> None:
    shared = SharedDict("mine.")
    shared["a"] = "1"
    shared[b"b"] = b"2"
    assert (shared["a"], shared.get(b"b"), shared.get("c"), shared.get("c", b"")) == (b"1", b"2", None, b"")
    assert "a" in shared and "c" not in shared and 5 not in shared
    assert set(host.shared_data) == {b"mine.a", b"mine.b"} and repr(shared) == "SharedDict(b'mine.')"
    with pytest.raises(KeyError, match="c"):
        shared["c"]


def test_nothing_lists_what_is_shared(host: Host) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        list(SharedDict())  # type: ignore[call-overload]


def test_what_another_worker_writes_meanwhile_counts(host: Host) -> None:
    shared, other = SharedDict(), SharedDict()
    seen: list[bytes | None] = []

    def change(value: bytes | None) -> bytes:
        seen.append(value)
        if len(seen) < 3:
            other["key"] = b"%d" % len(seen)
        return (value or b"") + b"!"

    # At first there is no value, and another worker makes one.
    assert shared.update("key", change) == b"2!" == shared["key"]
    assert seen == [None, b"1", b"2"]


def test_an_update_that_changes_nothing_writes_nothing(host: Host) -> None:
    shared = SharedDict()
    assert (shared.setdefault("key", "a"), shared.setdefault("key", "b")) == (b"a", b"a")
    _, cas = host.shared_data[b"key"]
    shared.update("key", lambda value: value or b"")
    assert host.shared_data[b"key"][1] == cas


def test_numbers_are_added(host: Host) -> None:
    shared = SharedDict()
    assert [shared.add("n"), shared.add("n", 5), shared.add("n", -10)] == [1, 6, -4]


def test_it_does_not_try_for_ever(host: Host) -> None:
    shared, other = SharedDict(), SharedDict()
    tries: list[int] = []

    def change(value: bytes | None) -> bytes:
        tries.append(1)
        other["key"] = b"%d" % len(tries)
        return b"mine"

    with pytest.raises(CasMismatchError):
        shared.update("key", change)
    assert len(tries) == TRIES


def test_a_queue(host: Host) -> None:
    assert Queue.find("events") is None
    queue = Queue("events")
    found = Queue.find("events")
    assert found == queue == queue.number and found != 5 and hash(found) == hash(queue)
    assert found is not None
    for entry in ("a", b"b", "c"):
        found.put(entry)
    assert (queue.take(), list(queue), queue.take()) == (b"a", [b"b", b"c"], None)
