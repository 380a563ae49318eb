"""The routing rule: from a connection's source address to a cluster. No host calls: it runs anywhere.

An even last byte of the source's IP address goes to the first router, an odd one to the second.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Preset:
    """The clusters for even and for odd sources, and others for connections to some destination ports."""

    __slots__ = ("by_destination_port", "clusters", "name", "needs_port")

    fail_closed = False

    def __init__(
        self, name: str, clusters: tuple[str, ...], by_destination_port: Mapping[int, tuple[str, ...]] | None = None
    ) -> None:
        self.name = name
        self.clusters = clusters
        self.by_destination_port = by_destination_port or {}
        self.needs_port = bool(by_destination_port)

    def clusters_at(self, destination_port: int) -> tuple[str, ...]:
        """Returns the clusters for a destination port."""
        return self.by_destination_port.get(destination_port, self.clusters)

    def targets(self) -> dict[str, str]:
        """Returns the clusters by what a log calls them."""
        return {cluster: cluster for cluster in self.all_clusters()}

    def all_clusters(self) -> list[str]:
        """Returns every cluster that `route` can choose."""
        return [cluster for group in (self.clusters, *self.by_destination_port.values()) for cluster in group]

    def describe(self) -> str:
        """Returns what a log line calls it."""
        return f'"{self.name}"'


STANDALONE = Preset("standalone", ("egress-router1", "egress-router2"))

# Istio's names for a service's ports. The routers take HTTP on a port of its own.
ISTIO = Preset(
    "istio",
    (
        "outbound|8080||egress-router1.default.svc.cluster.local",
        "outbound|8080||egress-router2.default.svc.cluster.local",
    ),
    {
        80: (
            "outbound|8081||egress-router1.default.svc.cluster.local",
            "outbound|8081||egress-router2.default.svc.cluster.local",
        )
    },
)


def route(source: bytes, clusters: tuple[str, ...]) -> str:
    """Returns which of the clusters a connection goes to from a packed source address, 4 or 16 bytes."""
    return clusters[source[-1] & 1]
