"""Circles in a graph: its strongly connected components, by Tarjan's algorithm."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator

Node = Hashable


def circles(nodes: Collection[Node], following: Callable[[Node], Iterable[Node]]) -> list[list[Node]]:
    """Returns the components that are circles: of several nodes, or of one that follows itself."""
    walk = _Walk(nodes, following)
    for root in nodes:
        if root not in walk.index:
            walk.run(root)
    return [c for c in walk.components if len(c) > 1 or c[0] in following(c[0])]


class _Walk:
    """Tarjan's walk, with a path of its own in the place of a recursion."""

    def __init__(self, nodes: Collection[Node], following: Callable[[Node], Iterable[Node]]) -> None:
        self.nodes, self.following = nodes, following
        self.index: dict[Node, int] = {}
        self.components: list[list[Node]] = []
        self._low: dict[Node, int] = {}
        self._waiting: list[Node] = []
        self._inside: set[Node] = set()
        self._path: list[tuple[Node, Iterator[Node]]] = []

    def run(self, root: Node) -> None:
        """Visits whatever can be reached from a node and was not yet visited."""
        self._enter(root)
        while self._path:
            node, rest = self._path[-1]
            unvisited = next((other for other in rest if self._is_new(node, other)), None)
            if unvisited is None:
                self._leave()
            else:
                self._enter(unvisited)

    def _enter(self, node: Node) -> None:
        self.index[node] = self._low[node] = len(self.index)
        self._waiting.append(node)
        self._inside.add(node)
        self._path.append((node, iter(self.following(node))))

    def _is_new(self, node: Node, other: Node) -> bool:
        """Tells whether a node that follows is yet to be visited; one that waits is where the circle is closed."""
        if other not in self.index and other in self.nodes:
            return True
        if other in self._inside:
            self._low[node] = min(self._low[node], self.index[other])
        return False

    def _leave(self) -> None:
        node, _ = self._path.pop()
        if self._path:
            above = self._path[-1][0]
            self._low[above] = min(self._low[above], self._low[node])
        if self._low[node] == self.index[node]:
            start = self._waiting.index(node)
            component = self._waiting[start:]
            del self._waiting[start:]
            self._inside.difference_update(component)
            self.components.append(component)
