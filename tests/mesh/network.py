"""The network of a small cluster: pods, services and the internet, a network namespace each, on one switch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.mesh.namespaces import Namespace

POD_EVEN, POD_ODD, POD_NEW, SERVER = "10.244.0.10", "10.244.0.11", "10.244.0.12", "10.244.0.20"
POD_EVEN6, POD_ODD6, SERVER6 = "fd00:244::10", "fd00:244::11", "fd00:244::20"
ROUTERS = {"egress-router1": "10.244.1.1", "egress-router2": "10.244.1.2"}
FORWARDERS = {"egress-router1": "10.244.3.1", "egress-router2": "10.244.3.2"}
"""The same, where they forward; each in a namespace of its own, so that its address shows who came that way."""
DATABASE, API_SERVER = "10.244.2.5", "10.244.2.9"
DATABASE_SERVICE, API_SERVER_SERVICE = "10.96.0.50", "10.96.0.1"
METADATA_SERVER = "169.254.169.254"
"""Nobody has it here: who is let through to it waits."""
INTERNET, INTERNET6, OTHER_HOST = "203.0.113.80", "2001:db8::80", "203.0.113.90"

HOSTS = {
    "pod-even": [POD_EVEN, POD_EVEN6],
    "pod-odd": [POD_ODD, POD_ODD6],
    "pod-new": [POD_NEW],
    "server": [SERVER, SERVER6],
    "services": [*ROUTERS.values(), DATABASE, API_SERVER],
    "egress-router1": [FORWARDERS["egress-router1"], "fd00:244::3:1"],
    "egress-router2": [FORWARDERS["egress-router2"], "fd00:244::3:2"],
    "internet": [INTERNET, INTERNET6, OTHER_HOST],
}
"""The addresses of each namespace."""


@contextlib.contextmanager
def up() -> Iterator[dict[str, Namespace]]:
    """Makes the namespaces and joins them; gives them by name; takes them away with the block."""
    with contextlib.ExitStack() as stack:

        def made(name: str) -> Namespace:
            namespace = Namespace(name)
            stack.callback(namespace.delete)
            return namespace

        switch = made("switch")
        switch.ip("link", "add", "br0", "type", "bridge")
        switch.ip("link", "set", "br0", "up")
        hosts = {name: made(name) for name in HOSTS}
        for name, host in hosts.items():
            _plug(switch, host, HOSTS[name])
        yield hosts


def _plug(switch: Namespace, host: Namespace, addresses: list[str]) -> None:
    switch.ip("link", "add", host.name, "type", "veth", "peer", "name", "eth0", "netns", host.name)
    switch.ip("link", "set", host.name, "master", "br0", "up")
    # Without a search for another host of the same address, an address can be used at once.
    host.set("ipv6/conf/eth0/accept_dad", 0)
    host.ip("link", "set", "eth0", "up")
    for address in addresses:
        host.ip("address", "add", f"{address}/{64 if ':' in address else 16}", "dev", "eth0")
    # Everybody is a neighbour: there is no router between them.
    for family in ("-4", "-6"):
        host.ip(family, "route", "add", "default", "dev", "eth0")
