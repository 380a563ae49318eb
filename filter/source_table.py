"""The clusters of source addresses as the SDK's table, for rules that look at nothing else: a connection then runs no Python.

Each piece of the axis of blocks has a set of rules (`index.py`), and so the rule that decides there, or two of them, by parity.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import repeat
from operator import sub

from filter import cidrs
from proxy_wasm.routing import SourceTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from filter.policy import Policy
    from proxy_wasm import Action

    Value = str | tuple[str | None, str | None] | None


def source_table(policy: Policy, otherwise: Callable[[bytes, Any], str | Action | None]) -> SourceTable | None:
    """Returns the table of a policy's targets, which asks the function about rules without one; None if blocks and parity do not decide."""
    blocks = policy.source_cidrs
    if policy.needs_more or policy.source_percentage is not None or (blocks and blocks.packed):
        return None
    keys, sets = (blocks.keys, blocks.sets) if blocks else ([], [policy.every])
    targets = {rules: _target(policy, rules) for rules in (blocks.distinct if blocks else sets)}
    values = list(map(targets.get, sets))  # None for a set between equal keys, where no address is
    ipv6, end = bisect_left(keys, cidrs.IPV4_END), bisect_left(keys, cidrs.END)
    in_ipv6 = list(map(sub, keys[ipv6:end], repeat(cidrs.IPV4_END)))
    return SourceTable((keys[:ipv6], values[: ipv6 + 1]), (in_ipv6, values[ipv6 : end + 1]), otherwise)


def _target(policy: Policy, rules: int) -> Value:
    """Returns where the first of some rules sends a connection, or where it sends even and odd sources."""
    rules &= policy.every
    if policy.source_parity is None:
        return policy.by_length[rules.bit_length()].target
    even, odd = [policy.by_length[(rules & parity).bit_length()].target for parity in policy.source_parity]
    return even if even == odd else (even, odd)
