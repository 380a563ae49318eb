"""Reads the project's own manifests as `kubectl kustomize` puts them together: resources, and components that patch them."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]


def read(folder: str, components: list[str] | None = None) -> list[Resource]:
    """Returns the resources of `k8s/<folder>` itself, changed by some of `k8s/components`."""
    found = _resources(Path("k8s", folder))
    for component in components or []:
        path = Path("k8s/components", component)
        found += _resources(path)
        for patch in _kustomization(path).get("patches", []):
            for resource in found:
                name, target = resource["metadata"]["name"], patch["target"]
                if target["kind"] == resource["kind"] and re.fullmatch(target["name"], name):
                    _patch(resource, _load(path / patch["path"])[0])
    return found


def components(folder: str) -> list[str]:
    """Returns the names of the components that `k8s/<folder>` takes."""
    return [Path(name).name for name in _kustomization(Path("k8s", folder))["components"]]


def of_kind(resources: list[Resource], kind: str) -> list[Resource]:
    """Returns the resources of a kind."""
    return [resource for resource in resources if resource["kind"] == kind]


def _load(path: Path) -> list[Any]:
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def _kustomization(folder: Path) -> Resource:
    loaded: Resource = _load(folder / "kustomization.yaml")[0]
    return loaded


def _resources(folder: Path) -> list[Resource]:
    names = [name for name in _kustomization(folder).get("resources", []) if not name.startswith("..")]
    # PyYAML makes one object of what an anchor names.
    return [copy.deepcopy(document) for name in names for document in _load(folder / name)]


def _patch(resource: Resource, operations: list[Resource]) -> None:
    """Applies a JSON patch: `replace`, and `add` at the end of a list."""
    for operation in operations:
        *parents, last = operation["path"].strip("/").split("/")
        place: Any = resource
        for step in parents:
            place = place[int(step)] if isinstance(place, list) else place[step]
        value = copy.deepcopy(operation["value"])
        if (operation["op"], last) == ("add", "-"):
            place.append(value)
        elif operation["op"] == "replace" and last in place:
            place[last] = value
        else:
            raise ValueError(f"{operation['op']} of {operation['path']} is not known here, or it is not there")
