"""A header map in a built module is what the stand-in of the plain tests makes of it: the boundary's C is held to it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy_wasm.testing.boundary import parse_pairs
from proxy_wasm.testing.http import serialize_header_map
from proxy_wasm.testing.wasm import WasmModule
from tests.host.toolchain_case import build

GUEST = """
import _proxy_wasm
import proxy_wasm

class Plugin(proxy_wasm.RootContext):
    def on_configure(self, configuration):
        proxy_wasm.info(repr(_proxy_wasm.parse_pairs(configuration)))
        return True

proxy_wasm.register(Plugin)
"""

TEXTS = st.binary(max_size=6)
MAPS = st.lists(st.tuples(TEXTS, TEXTS), max_size=5).map(serialize_header_map)
NUMBERS = st.sampled_from([0, 1, 2, 3, 255, 2**29, 2**31, 2**32 - 1])
DAMAGED = st.tuples(MAPS, st.integers(0, 60), NUMBERS).map(
    lambda made: made[0][: made[1]] + made[2].to_bytes(4, "little") + made[0][made[1] + 4 :]
)


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> WasmModule:
    vm = WasmModule(build(tmp_path_factory.mktemp("guest"), {"plugin.py": GUEST}))
    assert vm.start(b"", b"")
    return vm


@given(
    st.one_of(MAPS, DAMAGED, st.binary(max_size=40), st.builds(lambda made, end: made[:end], MAPS, st.integers(0, 60)))
)
@example(b"")
@example(b"\0\0\0\0")
@example(b"\xff\xff\xff\xff" + bytes(40))
@example(b"\1\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0")
def test_the_same_pairs(guest: WasmModule, data: bytes) -> None:
    guest.host.logs.clear()
    assert guest.configure(data)
    # An empty map is told apart from nothing by nobody.
    assert guest.host.lines() == [repr(parse_pairs(data))]
