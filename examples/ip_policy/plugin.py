"""Lets requests in by the client's address, as a policy says that people can read.

The policy is the plugin's configuration: a line for each network, `allow` or `deny`. The first line that has the address decides, and
who is in none is refused.
"""

import ipaddress

import proxy_wasm
from proxy_wasm import Action, HttpContext
from proxy_wasm.attributes import source

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Policy = list[tuple[Network, bool]]


def read_policy(text: str) -> Policy:
    """Returns the networks, and whether each is let in; raises ValueError with the line's number."""
    policy: Policy = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            action, network = words
            policy.append((ipaddress.ip_network(network), {"allow": True, "deny": False}[action]))
        except (ValueError, KeyError) as error:
            raise ValueError(f"line {number} of the policy, {line!r}: {error}") from None
    return policy


class Request(HttpContext):
    root: "Plugin"

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        packed = source.packed_ip
        if packed is not None and self.root.allows(packed):
            return None
        return self.send_response(403, body="not from there\n")


class Plugin(proxy_wasm.RootContext):
    http_context = Request
    failure_policy = proxy_wasm.FailurePolicy.CLOSE

    def on_configure(self, configuration: bytes) -> bool:
        self.policy = read_policy(configuration.decode())
        return True

    def allows(self, packed: bytes) -> bool:
        address = ipaddress.ip_address(packed)
        return next((allowed for network, allowed in self.policy if address in network), False)


proxy_wasm.register(Plugin)
