"""The whole product in one Envoy with four workers: connections, requests, changes of configuration and module, and traps, all at once.

The connections are those of `soak.py`, and the requests those of `requests.py`. A third of the connections goes to a listener whose filter
comes from a file (ECDS): it changes again and again, and no connection of it may be lost. A filter of its own traps.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from envoy import configuration, memory, process
from envoy.client import Held
from envoy.discovery import NetworkFilter
from envoy.waiting import wait_for
from tests.envoy.guests.faults import source
from tests.load import requests, soak
from tests.load.clients import ROUTERS
from tests.load.soak import COUNTED, WORKERS, Sample, Soaked

FAULTY = Path("tests/envoy/guests/faulty.wasm").absolute()
CHANGING, TRAPPING = "changing", "trapping"
WAIT_SECONDS = 120
ASKED = 60
"""How often the VMs of the HTTP filters are asked what they hold: each worker answers some of these questions."""

_TRAPPED = "Function: proxy_on_new_connection failed"


@dataclass(frozen=True)
class Amounts:
    """How much of everything there is to be."""

    connections: int
    held: int
    requests: int
    configurations: int
    modules: int
    traps: int

    @classmethod
    def scaled(cls, scale: float) -> Amounts:
        """Returns the amounts of the long soak, times a factor; at least one of each."""
        amounts = (1_000_000, 20_000, 1_000_000, 200, 50, 20)
        return cls(*(max(1, round(amount * scale)) for amount in amounts))


@dataclass
class Quiet:
    """What there is when nothing moves: VMs' memories by their size, and the most that a worker's HTTP filters hold."""

    memories: list[int]
    resident: int
    contexts: int
    waiting: int
    callers: int


@dataclass
class Came:
    """What came of all of it."""

    soaked: Soaked
    requests: dict[str, int] = field(default_factory=dict)
    """How many requests, by the path."""
    wrong: dict[str, int] = field(default_factory=dict)
    """How many of them had a wrong answer."""
    configurations: int = 0
    modules: int = 0
    refused: int = 0
    traps: int = 0
    reloads: int = 0
    closed: int = 0
    """How many connections were closed until the VM that trapped was there again."""
    ended: list[str] = field(default_factory=list)
    """What ended the requests, the changes or the traps before they were over."""
    before: Quiet | None = None
    after: Quiet | None = None


def module_of(letter: str, work: Path) -> Path:
    """Writes the module again with a custom section of one letter: to Envoy it is another module."""
    path = work / f"counted-{letter}.wasm"
    path.write_bytes(COUNTED.read_bytes() + b"\0\x03\x01" + letter.encode() + b"\0")
    return path


def rules(number: int) -> str:
    """Returns a configuration that no other number has, and that sends each source where the default rule sends it."""
    return json.dumps(
        {
            "rules": [
                {"match": {"source_cidrs": [f"192.0.2.{number % 250}/32"]}, "action": {"reject": True}},
                {"match": {"source_parity": "ODD"}, "action": {"cluster": ROUTERS[1]}},
            ],
            "default_action": {"cluster": ROUTERS[0]},
        }
    )


class Soak:
    """One soak: what happens beside the connections, each in a thread."""

    def __init__(self, envoy: process.Envoy, changing: NetworkFilter, work: Path, amounts: Amounts, came: Came) -> None:
        self.envoy, self.changing, self.amounts, self.came = envoy, changing, amounts, came
        self.paths = [module_of(letter, work) for letter in "ab"]

    def spread(self, count: int) -> Iterable[int]:
        """Yields numbers, each when as large a part of the connections has come."""
        for number in range(count):
            while self._connections() < self.amounts.connections * number / count:
                time.sleep(0.05)
            yield number

    def _connections(self) -> int:
        samples = self.came.soaked.samples
        return samples[-1].connections if samples else 0

    def guarded(self, call: Callable[[], None]) -> Callable[[], None]:
        """Returns a call that notes what ends it: the rest of the soak goes on."""

        def made() -> None:
            try:
                call()
            except Exception as error:
                self.came.ended.append(f"{call.__name__}: {error!r}")

        return made

    def make_requests(self) -> None:
        """Takes each path in turn."""
        count = -(-self.amounts.requests // len(requests.PATHS))
        for path, digit in requests.PATHS.items():
            self.came.wrong[path] = requests.load(self.envoy.listeners[path][1], count, digit)
            self.came.requests[path] = count

    def change(self) -> None:
        """Changes the configuration, and in between the module too; raises TimeoutError if Envoy takes one of them not."""
        changes = self.amounts.configurations + self.amounts.modules
        reloads, refusals = (self.changing.counter(name) for name in ("config_reload", "update_rejected"))
        for number in self.spread(changes):
            module = (number + 1) * self.amounts.modules // changes > number * self.amounts.modules // changes
            if module:
                code = {"local": {"filename": str(self.paths[self.came.modules % 2])}}
                self.changing.plugin["vm_config"]["code"] = code
                self.came.modules += 1
            else:
                self.changing.plugin["configuration"]["value"] = rules(number)
                self.came.configurations += 1
            before = self._counter(reloads)
            self.changing.put()
            if not wait_for(functools.partial(self._is_above, reloads, before), WAIT_SECONDS):
                raise TimeoutError(f"change {number} did not come: {self.envoy.log_lines('[warning]')[-3:]}")
        self.came.refused = self._counter(refusals)

    def trap(self) -> None:
        """Ends a worker's VM again and again, and waits until there is a new one; raises TimeoutError if none comes."""
        reloads = f"wasm.{TRAPPING}.vm_reload_success"
        for number in self.spread(self.amounts.traps):
            before = self._counter(reloads)
            with Held(self.envoy.listeners[TRAPPING], source("traps"), WAIT_SECONDS) as connection:
                self.came.traps += not connection.name
            if not wait_for(functools.partial(self._is_back, reloads, before), WAIT_SECONDS):
                raise TimeoutError(f"no VM came after trap {number}")
        self.came.reloads = self._counter(reloads)

    def _counter(self, name: str) -> int:
        # Nobody answers while Envoy's main thread compiles a module, which takes long on a busy machine.
        return self.envoy.counter(name, WAIT_SECONDS)

    def _is_above(self, counter: str, before: int) -> bool:
        return self._counter(counter) > before

    def _is_back(self, reloads: str, before: int) -> bool:
        # Only a connection that comes to the worker makes it reload.
        for _ in range(2 * WORKERS):
            with Held(self.envoy.listeners[TRAPPING], source("none"), WAIT_SECONDS) as connection:
                self.came.closed += not connection.name
        return self._is_above(reloads, before)

    def quiet(self) -> Quiet:
        """Returns what there is when the last answers have come."""

        def most() -> tuple[int, int, int]:
            found = [requests.counted(self.envoy) for _ in range(ASKED)]
            return max(h.contexts for h in found), max(h.waiting for h in found), max(h.callers for h in found)

        wait_for(lambda: most() == (1, 0, 0), 30, 0.5)
        pid = self.envoy.process.pid
        return Quiet(sorted(memory.linear(pid)), memory.resident(pid), *most())


def run(work: Path, amounts: Amounts, progress: Callable[[Sample, int, Came], None]) -> Came:
    """Does all of it; raises EnvoyError if Envoy does not start."""
    came = Came(Soaked(soak.possible(amounts.held)))
    with soak.configured() as made, requests.resources(work) as for_requests:
        configuration.add_listener(made, CHANGING)
        configuration.plugin(made, CHANGING)["vm_config"]["vm_id"] = CHANGING
        _add_trapping(made)
        changing = NetworkFilter(made, CHANGING, work)
        for kind, resources in for_requests.items():
            made["static_resources"][kind] += resources
        with process.run(made, work, WORKERS, "warn", arguments=requests.QUIET) as envoy:
            beside = Soak(envoy, changing, work, amounts, came)
            came.before = beside.quiet()
            calls = [beside.guarded(call) for call in (beside.make_requests, beside.change, beside.trap)]

            def told(sample: Sample, held: int) -> None:
                progress(sample, held, came)

            soak.load(envoy, amounts.connections, came.soaked, told, [CHANGING], calls)
            soak.count_contexts(envoy, amounts.connections, came.soaked)
            came.after = beside.quiet()
        came.soaked.errors = [line for line in soak.error_lines(envoy) if _TRAPPED not in line]
    return came


def _add_trapping(made: configuration.Configuration) -> None:
    configuration.add_listener(made, TRAPPING)
    plugin = configuration.plugin(made, TRAPPING)
    plugin.update({"name": TRAPPING, "root_id": "open", "failure_policy": "FAIL_RELOAD"})
    plugin["vm_config"] |= {"vm_id": TRAPPING, "code": {"local": {"filename": str(FAULTY)}}}
