"""What is an address in a built module, is what Python's ipaddress says: it holds the boundary's C to the stand-in of the plain tests."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy_wasm.testing.boundary import packed_address
from proxy_wasm.testing.wasm import WasmModule
from tests.host.toolchain_case import build

GUEST = """
import proxy_wasm

class Plugin(proxy_wasm.RootContext):
    def on_configure(self, configuration):
        address = proxy_wasm.packed_address(configuration)
        proxy_wasm.info("none" if address is None else address.hex())
        return True

proxy_wasm.register(Plugin)
"""

V4 = st.ip_addresses(v=4).map(str)
V6 = st.one_of(
    st.ip_addresses(v=6).map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded.upper()),
    V4.map("::ffff:{}".format),
    st.builds("{}%{}".format, st.ip_addresses(v=6), st.text(max_size=5)),
    # Right or nearly so.
    st.lists(st.sampled_from(["", "0", "1f", "ABCD", "12345", "g", "1.2.3.4", "+1"]), max_size=10).map(":".join),
)
PORTS = st.one_of(st.integers(0, 70_000).map(str), st.sampled_from(["", "-1", "+1", "00080", "000080", "٣"]))
SOURCES = st.one_of(
    V4,
    V6,
    st.builds("{}:{}".format, V4, PORTS),
    st.builds("[{}]:{}".format, V6, PORTS),
    V6.map("[{}]".format),
    st.lists(st.sampled_from(["", "0", "00", "01", "255", "256", "-1", "1 ", "٣"]), max_size=6).map(".".join),
    st.text("0123456789abcdefABCDEF:.[]%/ ", max_size=60),
    st.text(),
)


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> WasmModule:
    vm = WasmModule(build(tmp_path_factory.mktemp("guest"), {"plugin.py": GUEST}))
    assert vm.start(b"", b"")
    return vm


def read(guest: WasmModule, source: bytes) -> bytes | None:
    guest.host.logs.clear()
    assert guest.configure(source)
    (line,) = guest.host.lines()
    return None if line == "none" else bytes.fromhex(line)


@given(SOURCES)
@example("999.1.1.1:80")
@example("1.2.3.4:99999")
@example("1.2.3.4:65536")
@example("1.2.3:80")
@example("01.2.3.4")
@example("1.2.3.4%eth0")
@example("[1.2.3.4]:80")
@example("1.2.3.4\0:80")
@example("[::1\0]:80")
@example("[::1")
@example("::1]")
@example("[::1]80")
@example("[::1]:80:80")
@example("fe80::1%")
@example("fe80::1%a%b")
@example("fe80::1%a:b")
@example("[fe80::1%a/b]:80")
@example("[fe80::1%eth0.1.2.3]:80")
@example("1:2:3:4:5:6:7::")
@example("1:2:3:4:5:6:7:8::")
@example("0000:0000:0000:0000:0000:ffff:255.255.255.255")
@example("00000:0000:0000:0000:0000:ffff:255.255.255.255")
@example("::1.2.3.4")
@example("1.2.3.4::")
@example("1:1.2.3.4")
@example(":::")
@example("1::2::3")
def test_it_agrees_with_ipaddress(guest: WasmModule, source: str) -> None:
    data = source.encode("utf-8", "surrogatepass")
    assert read(guest, data) == packed_address(data)


@given(st.binary())
def test_whatever_the_bytes(guest: WasmModule, source: bytes) -> None:
    assert read(guest, source) == packed_address(source)


@pytest.mark.parametrize("file", sorted(Path("tests/host/addresses").iterdir()), ids=lambda file: file.name)
def test_what_was_found_before(guest: WasmModule, file: Path) -> None:
    assert read(guest, file.read_bytes()) == packed_address(file.read_bytes())


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_that_envoy_writes(
    guest: WasmModule, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int
) -> None:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    host = f"[{address}]" if address.version == 6 else str(address)
    assert read(guest, f"{host}:{port}".encode()) == (mapped or address).packed
