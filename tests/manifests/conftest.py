"""Every kustomization of `k8s/`, rendered once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.manifests.rendering import FOLDERS, Resource, combinations, copied, render, with_components


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Resource]]:
    """The resources of each folder, and of `envoyfilter` with each set of components."""
    k8s = copied(tmp_path_factory.mktemp("manifests"))
    found = {folder: render(k8s / folder) for folder in FOLDERS}
    return found | {f"envoyfilter with {', '.join(c)}": with_components(k8s, c) for c in combinations() if c}


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for what a whole file of tests shares."""
    return tmp_path_factory.mktemp("work")
