"""Workers of one Envoy: what they share is shared, and everything else is a worker's own."""

from __future__ import annotations

import pytest

from proxy_wasm import Action, HttpContext, RootContext
from proxy_wasm.metrics import Counter, Gauge
from proxy_wasm.shared import Queue, SharedDict
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.lifecycle import Vm
from proxy_wasm.testing.workers import Workers

TICKS, LAST = Counter("ticks"), Gauge("last")
SEEN = SharedDict("seen.")


class Plugin(RootContext):
    def on_configure(self, configuration: bytes) -> bool:
        self.events = Queue("events")
        self.ticks = 0
        return True

    def on_tick(self) -> None:
        self.ticks += 1
        TICKS.increment()
        LAST.set(self.ticks)
        self.events.put(f"tick {self.ticks}")
        print("seen:", SEEN.add("ticks"), "mine:", self.ticks)

    def on_queue_ready(self, queue: int) -> None:
        print("told:", self.events.take())


def test_they_share_data_and_metrics() -> None:
    with Workers(Plugin, 3) as workers:
        assert workers.start() and len(workers) == 3
        for vm in (*workers, workers[0]):
            vm.tick()
        assert [vm.host.lines()[-1].partition("mine: ")[2] for vm in workers[:2]] == ["2", "1"]
        assert seen_ticks(workers[1].host) == 4
        for vm in workers:
            assert {made.name: made.value for made in vm.host.metrics.values()} == {b"ticks": 4, b"last": 2}


def seen_ticks(host: Host) -> int:
    return int.from_bytes(host.shared_data[b"seen.ticks"][0], "little")


def test_who_registered_a_queue_last_is_told_of_every_entry() -> None:
    with Workers(Plugin, 2) as workers:
        workers.start()
        workers[0].tick()
        workers[1].tick()
        assert workers[0].host.lines() == ["seen: 1 mine: 1"]
        # The callback that put the entry in is over before anybody is told of it.
        assert workers[1].host.lines() == ["told: b'tick 1'", "seen: 2 mine: 1", "told: b'tick 1'"]
        workers[0].configure()
        workers[1].tick()
        assert workers[0].host.lines()[1:] == ["told: b'tick 2'"]


def test_an_owner_that_is_gone_is_told_of_nothing() -> None:
    with Workers(Plugin, 2) as workers:
        workers.start()
        assert workers[1].shutdown()
        workers[0].tick()
        assert list(workers[0].host.queues[1]) == [b"tick 1"] and not workers[1].host.lines()


def test_a_worker_that_was_faster_is_not_overwritten() -> None:
    with Workers(Racing, 2) as workers:
        Racing.others = [workers[1]]
        workers.start()
        workers[0].tick()
        # The first one's function was asked again, for the second one's number was there by then.
        assert [vm.host.lines() for vm in workers] == [["None", "b'1'", "b'11'"], ["None", "b'1'"]]


class Racing(RootContext):
    others: list[Vm]

    def on_tick(self) -> None:
        def change(value: bytes | None) -> bytes:
            print(value)
            if self.others:
                self.others.pop().tick()
            return (value or b"") + b"1"

        print(SEEN.update("race", change))


class Asking(HttpContext):
    async def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        answer = await self.fetch("authz")
        self.request_headers["x-status"] = str(answer.status)
        return None


def test_each_waits_for_its_own_answers() -> None:
    with Workers(type("Root", (RootContext,), {"http_context": Asking})) as workers:
        assert workers.start()
        exchanges = [vm.exchange() for vm in workers]
        for exchange in exchanges:
            exchange.request()
        workers[1].answer(201)
        assert [exchange.upstream.header("x-status") for exchange in exchanges] == [None, b"201"]
        workers[0].answer(202)
        assert exchanges[0].upstream.header("x-status") == b"202"
        for exchange in exchanges:
            exchange.respond()
            exchange.close()
        assert not workers[0].host.lines() and not workers[1].host.lines()


def test_any_vm_may_be_a_worker() -> None:
    made: list[Host] = []

    def make(host: Host) -> Vm:
        made.append(host)
        return InProcess(host=host)

    with Workers(make, 2) as workers:
        assert [vm.host for vm in workers] == made
        assert made[0].shared_data is made[1].shared_data
        made[0].proxy_set_shared_data(b"key", b"a", 0)
        _, first = made[1].proxy_get_shared_data(b"key")
        made[1].proxy_set_shared_data(b"key", b"b", first)
        assert made[0].proxy_get_shared_data(b"key") == (b"b", first + 1)


def test_there_is_a_worker() -> None:
    with pytest.raises(ValueError, match="at least 1 worker, not 0"):
        Workers(Plugin, 0)
