"""The project's own manifests, as the pinned kubectl puts them together."""

from __future__ import annotations

import copy
import functools
import tempfile
from pathlib import Path

from tests.manifests import rendering
from tests.manifests.rendering import Resource, of_kind

__all__ = ["Resource", "of_kind", "read"]


@functools.cache
def _rendered(folder: str, components: tuple[str, ...]) -> list[Resource]:
    with tempfile.TemporaryDirectory() as work:
        k8s = rendering.copied(Path(work))
        return rendering.with_components(k8s, components) if components else rendering.render(k8s / folder)


def read(folder: str, components: list[str] | None = None) -> list[Resource]:
    """Returns the resources of a folder of `k8s`; with components, those of `envoyfilter` with them."""
    if components and folder != "envoyfilter":
        raise ValueError("components go with envoyfilter alone")
    return copy.deepcopy(_rendered(folder, tuple(components or ())))
