"""Every manifest is what Kubernetes and Istio define, and what is wrong is found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from tests.manifests.rendering import Resource, of_kind
from tests.manifests.schemas import KUBERNETES, check, check_istio, is_istio


def different(rendered: dict[str, list[Resource]], istio: bool) -> list[Resource]:
    """Returns each resource once, of Istio's kinds or of Kubernetes' own."""
    every = [resource for resources in rendered.values() for resource in resources if is_istio(resource) == istio]
    return list({json.dumps(resource, sort_keys=True): resource for resource in every}.values())


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_takes_its_own_kinds(
    version: str, rendered: dict[str, list[Resource]], record_property: Any
) -> None:
    checked = different(rendered, istio=False)
    for resource in checked:
        check(resource, version)
    assert len(checked) > 20
    record_property("resources", len(checked))


def test_istio_takes_its_kinds(rendered: dict[str, list[Resource]], record_property: Any) -> None:
    checked = different(rendered, istio=True)
    for resource in checked:
        check_istio(resource)
    kinds = {resource["kind"] for resource in checked}
    assert kinds == {"DestinationRule", "EnvoyFilter", "ServiceEntry", "TrafficExtension", "WasmPlugin"}
    record_property("resources", len(checked))


def _set(path: str, value: Any) -> Callable[[Resource], None]:
    def change(resource: Resource) -> None:
        *parents, last = path.split(".")
        found: Any = resource
        for name in parents:
            found = found[int(name)] if isinstance(found, list) else found[name]
        found[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set("spec.type", "NETWERK"), "NETWERK"),
        (_set("spec.sha256", "zz"), "zz"),
        (_set("spec.pluginConfig", "istio"), "object"),
        (_set("spec.typo", True), "typo"),
        (_set("spec.match.0.ports", [{"number": 70000}]), "70000"),
        (_set("apiVersion", "extensions.istio.io/v1"), "no WasmPlugin v1"),
    ],
)
def test_istio_refuses_what_is_wrong(
    change: Callable[[Resource], None], reason: str, rendered: dict[str, list[Resource]]
) -> None:
    wrong = copy.deepcopy(of_kind(rendered["wasmplugin"], "WasmPlugin")[0])
    change(wrong)
    with pytest.raises(jsonschema.ValidationError, match=reason):
        check_istio(wrong)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set("spec.replicas", "two"), "two"),
        (_set("spec.template.spec.volumes.1.image.reference", 1), "1 is not of type"),
        (_set("spec.template.spec.volumes.1.image.typo", "x"), "typo"),
    ],
)
def test_kubernetes_refuses_what_is_wrong(
    change: Callable[[Resource], None], reason: str, rendered: dict[str, list[Resource]]
) -> None:
    (wrong,) = (r for r in of_kind(rendered["gateway"], "Deployment") if r["metadata"]["name"] == "tcp-routing-gateway")
    wrong = copy.deepcopy(wrong)
    change(wrong)
    with pytest.raises(jsonschema.ValidationError, match=reason):
        check(wrong, KUBERNETES[0])
