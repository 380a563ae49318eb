"""What an API server would say of a resource: Kubernetes' own kinds by their schemas, Istio's by its definitions (Apache-2.0)."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

KUBERNETES = ["1.35", "1.36", "1.37"]
"""From the first one on, image volumes are there by default."""
_ISTIO = ("istio.io",)


def is_istio(resource: dict[str, Any]) -> bool:
    """Tells whether a resource is of a kind that Istio defines."""
    return str(resource["apiVersion"]).partition("/")[0].endswith(_ISTIO)


def check(resource: dict[str, Any], version: str) -> None:
    """Raises jsonschema's ValidationError if a resource of Kubernetes' own is wrong, unknown fields included."""
    try:
        kubernetes_validate.validate(resource, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        raise jsonschema.ValidationError(
            f"{resource['kind']} {resource['metadata']['name']}: {error.message}"
        ) from None


def check_istio(resource: dict[str, Any]) -> None:
    """Raises jsonschema's ValidationError if a resource of Istio's is wrong; skips the test if the definitions are not there."""
    name = f"{resource['kind']} {resource['apiVersion'].partition('/')[2]}"
    schema = _definitions().get(name)
    if schema is None:
        raise jsonschema.ValidationError(f"Istio has no {name}")
    jsonschema.validate(resource, schema)


def crds() -> Path:
    """Returns where Istio's definitions are: ISTIO_CRDS, or `shared/istio-crds.yaml` beside the repository."""
    workspace = Path(os.path.realpath("k8s/README.md")).parents[1]
    return Path(os.environ.get("ISTIO_CRDS") or workspace.parent / "shared" / "istio-crds.yaml")


@functools.cache
def _definitions() -> dict[str, Any]:
    if not crds().is_file():
        pytest.skip(
            f"Istio's definitions are not at {crds()}: name istio/api's customresourcedefinitions.gen.yaml in ISTIO_CRDS"
        )
    found = {}
    with crds().open(encoding="utf-8") as file:
        for document in yaml.load_all(file, yaml.CSafeLoader):
            for version in document["spec"]["versions"] if document else []:
                schema = version["schema"]["openAPIV3Schema"]
                # The server adds these two to every kind.
                schema["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
                schema["properties"]["metadata"] = {"type": "object"}
                found[f"{document['spec']['names']['kind']} {version['name']}"] = _strict(schema)
    return found


def _strict(schema: Any) -> Any:
    """Returns a schema that refuses what the server would drop: fields that are not in it."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items()}
    if made.get("type") == "object" and "properties" in made and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made
