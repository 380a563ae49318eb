"""The built filter under a proxy that answers anything and calls in any order: it never traps, and its memory does not run away."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from proxy_wasm.testing.wasm import WasmModule
from tests.fuzz.hostile_host import Choices, HostileHost, drive, end

MODULE = Path("filter/filter.wasm")
VMS = 8
SEQUENCES = 60
CORPUS = Path("tests/fuzz/corpus/host_calls")


class HostileModule(WasmModule):
    """A module whose host also gives null pointers together with a size."""

    chance = random.Random(5)

    def give(self, data: bytes) -> int:
        """Allocates for the answer, or does not."""
        return 0 if self.chance.random() < 0.1 else super().give(data)


def sequence(chance: random.Random) -> bytes:
    """Returns choices: random ones, with what a filter wants to read among them."""
    words = [b"standalone", b"istio", b"10.0.0.1:80", b"[::1]:80", b'{"default_action":{"reject":true}}']
    pieces = [chance.randbytes(chance.randrange(40)) for _ in range(30)]
    for _ in range(10):
        word = chance.choice(words)
        pieces.insert(chance.randrange(len(pieces)), bytes([0, len(word)]) + word)
    return b"".join(pieces)


def test_no_answer_of_the_host_makes_the_module_trap(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(6)
    corpus = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
    callbacks, pages = 0, []
    for _ in range(VMS):
        choices = Choices(b"")
        vm = HostileModule(MODULE, HostileHost(choices), cache=tmp_path)
        before = vm.memory_pages
        for data in [*corpus, *(sequence(chance) for _ in range(SEQUENCES))]:
            choices.restart(data)
            callbacks += drive(vm, choices)  # a trap would be raised here
            end(vm)
        pages.append(vm.memory_pages - before)
    assert callbacks > VMS * SEQUENCES * 10
    assert max(pages) < 64, pages
    record_property("callbacks", f"{callbacks:,}")
    record_property("traps", 0)
    record_property("memory grew by", f"{max(pages)} pages at most")
