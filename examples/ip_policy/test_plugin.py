import pytest

from plugin import read_policy
from proxy_wasm.testing.lifecycle import Vm

POLICY = b"""\
deny  10.1.0.0/16      # the guests' network
allow 10.0.0.0/8

allow 2001:db8::/32
"""


@pytest.mark.parametrize(
    ("source", "let_in"),
    [("10.2.3.4:1", True), ("10.1.2.3:1", False), ("[2001:db8::1]:1", True), ("192.0.2.1:1", False)],
)
def test_addresses(vm: Vm, source: str, let_in: bool) -> None:
    assert vm.configure(POLICY)
    exchange = vm.exchange(source=source)
    exchange.request()
    assert (exchange.upstream.headers is not None) == let_in


@pytest.mark.parametrize("line", ["allow 10.0.0.1/8", "permit 10.0.0.0/8", "allow"])
def test_a_mistake_is_named_by_its_line(line: str) -> None:
    with pytest.raises(ValueError, match="line 2 of the policy"):
        read_policy(f"deny 10.1.0.0/16\n{line}")
