"""What the boundary's C does with header maps (headers.h) is what the stand-in of the plain tests does."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy_wasm.testing.header_maps import serialize_header_map
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.lifecycle import Vm
from proxy_wasm.testing.wasm import WasmModule
from tests.host.toolchain_case import build

GUEST = """
import enum

import _proxy_wasm
import proxy_wasm

class Text(enum.StrEnum):
    NAME, VALUE = "x-b", "v"

class Data(bytes):
    pass

class Plugin(proxy_wasm.RootContext):
    def on_configure(self, configuration):
        names = {"headers": _proxy_wasm.HeaderMap(0), "Text": Text, "Data": Data, **vars(_proxy_wasm)}
        for line in configuration.decode("utf-8", "surrogatepass").splitlines():
            try:
                told = repr(eval(line, names))
            except Exception as error:
                told = f"{type(error).__name__}: {error}"
            proxy_wasm.info(told.encode("utf-8", "backslashreplace"))
        return True

proxy_wasm.register(Plugin)  # proxy_add_header_map_value, proxy_replace_header_map_value, proxy_remove_header_map_value
"""

SHORT = st.binary(max_size=6)
MAPS = st.lists(st.tuples(SHORT, SHORT), max_size=5).map(serialize_header_map)
NUMBERS = st.sampled_from([0, 1, 2, 3, 255, 2**29, 2**31, 2**32 - 1])
DAMAGED = st.tuples(MAPS, st.integers(0, 60), NUMBERS).map(
    lambda made: made[0][: made[1]] + made[2].to_bytes(4, "little") + made[0][made[1] + 4 :]
)
CUT = st.builds(lambda made, end: made[:end], MAPS, st.integers(0, 60))
# Around the eight bytes that are looked at together, and around the names that are kept.
LETTERS = "abx-A:\t\x0e\x7f\u00fc\u20ac\U0001f600\udc80"
TEXTS = st.text(LETTERS, max_size=20) | st.binary(max_size=60) | st.text(LETTERS + "\r\n\0", max_size=10)
ANYTHING = TEXTS | st.sampled_from([None, 5, 1.5, ["a"], bytearray(b"a")])
PAIR = st.tuples(ANYTHING, ANYTHING) | st.tuples(TEXTS, TEXTS) | st.lists(TEXTS, max_size=3) | ANYTHING
WRITTEN = (st.lists(st.tuples(TEXTS, TEXTS), max_size=4) | st.lists(PAIR, max_size=4) | ANYTHING).map(
    lambda pairs: f"write_pairs({pairs!r})"
)
HEADERS = st.one_of(
    *(
        st.tuples(*[ANYTHING] * given).map(lambda given, form=form: form % tuple(map(repr, given)))  # type: ignore[misc]
        for form, given in (
            ("headers[%s]", 1),
            ("headers.get(%s)", 1),
            ("headers.get(%s, default=%s)", 2),
            ("headers.get(%s, %s)", 2),
            ("headers.__setitem__(%s, %s)", 2),
            ("headers.__delitem__(%s)", 1),
            ("headers.add(%s, %s)", 2),
        )
    ),
    st.just("headers.items()"),
    st.just("headers.map"),
)


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> WasmModule:
    vm = WasmModule(build(tmp_path_factory.mktemp("guest"), {"plugin.py": GUEST}))
    assert vm.start(b"", b"")
    return vm


def told(vm: Vm, lines: list[str]) -> tuple[list[str], object]:
    """Returns what a guest says to some expressions, and the header map afterwards."""
    vm.host.logs.clear()
    vm.root.header_maps[0] = [(b"a", b"1"), (b"x-b", b"2"), (b"a", b"3")]
    assert vm.configure("\n".join(lines).encode("utf-8", "surrogatepass"))
    return vm.host.lines(), vm.root.header_maps[0]


def here() -> InProcess:
    """Returns the same guest in this process."""
    names: dict[str, object] = {}
    exec(GUEST.replace("proxy_wasm.register", "#"), names)
    return InProcess(names["Plugin"])  # type: ignore[arg-type]


def assert_same(guest: WasmModule, lines: list[str]) -> None:
    """Asserts that a built module says what the same guest says in this process."""
    with here() as vm:
        vm.start()
        expected = told(vm, lines)
    assert told(guest, lines) == expected


@given(st.one_of(MAPS, DAMAGED, st.binary(max_size=40), CUT))
@example(b"")
@example(b"\0\0\0\0")
@example(b"\xff\xff\xff\xff" + bytes(40))
@example(b"\1\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0")
def test_the_same_pairs(guest: WasmModule, data: bytes) -> None:
    assert_same(guest, [f"parse_pairs({data!r})"])


@given(st.lists(WRITTEN, max_size=3))
def test_the_same_bytes(guest: WasmModule, lines: list[str]) -> None:
    assert_same(guest, lines)


@given(st.lists(HEADERS, max_size=8))
def test_the_same_headers(guest: WasmModule, lines: list[str]) -> None:
    assert_same(guest, lines)


@pytest.mark.parametrize(("name", "value"), [("Text.NAME", "Text.VALUE"), ("Data(b'x-b')", "Data(b'v')")])
def test_the_same_for_a_subclass(guest: WasmModule, name: str, value: str) -> None:
    forms = ["headers[%s]", "headers.get(%s)", "headers.__delitem__(%s)", "proxy_get_property(%s)"]
    of_both = [
        "headers.add(%s, %s)",
        "headers.__setitem__(%s, %s)",
        "write_pairs([(%s, %s)])",
        "proxy_set_property(%s, %s)",
    ]
    lines = [form % (name, value) for form in of_both] + [form % name for form in forms]
    assert_same(guest, lines)
    assert not [line for line in guest.host.lines() if "TypeError" in line]


BY_NAME = [
    "headers.get(name='a')",
    "headers.get('a', other=1)",
    "headers.add(name='a', value='b')",
    "headers.add('a', value='b')",
    "headers.__getitem__(name='a')",
    "headers.__setitem__('a', value='b')",
    "HeaderMap(map=1)",
    "parse_pairs(header_map=b'')",
    "write_pairs(pairs=[])",
    "packed_address(address='::1')",
    "speak_for(context_id=1)",
    "proxy_log(level=2, message='')",
    "proxy_get_property(path='a')",
]
"""What takes its arguments by place only, as the stubs say, called otherwise."""


def test_the_same_is_refused_by_name(guest: WasmModule) -> None:
    with here() as vm:
        vm.start()
        found = [told(one, BY_NAME)[0] for one in (vm, guest)]
    assert [[line.partition(":")[0] for line in lines] for lines in found] == [["TypeError"] * len(BY_NAME)] * 2


def _maps_that_come_again() -> list[bytes]:
    """Returns header maps that come three times, each time followed by ones in which one byte is another."""
    maps = []
    for size in (0, 1, 3, 7, 8, 9, 16, 17, 40, 180, 186, 187, 188, 300):
        pair = (b"x-kept", bytes(97 + i % 23 for i in range(size)))
        others = [(pair[0], pair[1][:at] + b"#" + pair[1][at + 1 :]) for at in (0, size // 2, size - 1) if size]
        others += [(b"x-kepT", pair[1]), (b"x-kep", b"t" + pair[1]), (b"x-kept" + pair[1][:1], pair[1][1:])]
        for other in others:
            maps += [
                serialize_header_map([(b":path", b"/a"), one]) for one in (pair, pair, pair, other, other, other, pair)
            ]
    return maps


def test_pairs_that_come_again(guest: WasmModule) -> None:
    assert_same(guest, [f"parse_pairs({data!r})" for data in _maps_that_come_again()])


def test_constants_that_come_again(guest: WasmModule) -> None:
    texts = [f"x-{i}" for i in range(150)]
    values = "('v', b'w', 'x' * 63, 'x' * 64, 'x' * 65)"
    made = f"[[headers.__setitem__(name, value) or headers.get(name) for name in {{!r}}] for value in {values}]"
    refused = "headers.__setitem__('x-0', 'a\\nb')"
    assert_same(
        guest,
        [
            made.format(texts),
            made.format(texts[::-1]),
            *[refused] * 4,
            "headers.get('a\\nb')",
            *["headers.get('x-0')"] * 3,
        ],
    )
