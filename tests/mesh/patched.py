"""A client pod's listeners with the project's `EnvoyFilter`s, as Istio puts them together."""

from __future__ import annotations

import copy
from typing import Any

from tests.mesh import envoy_filter, istio_sidecar, manifests


def filters(components: list[str] | None = None, folder: str = "envoyfilter") -> list[manifests.Resource]:
    """Returns the project's `EnvoyFilter`s; `components` are some of `k8s/components`."""
    return manifests.of_kind(manifests.read(folder, components), "EnvoyFilter")


def listeners(
    components: list[str] | None = None, catch_all: str = istio_sidecar.PASSTHROUGH, folder: str = "envoyfilter"
) -> list[istio_sidecar.Part]:
    """Returns a client pod's listeners with the project's `EnvoyFilter`s. Each of their patches must do something."""
    found = istio_sidecar.listeners(catch_all)
    applied = envoy_filter.apply(found, filters(components, folder))
    assert applied and applied == [1] * len(applied)
    return found


def plugin(rules: dict[str, Any]) -> istio_sidecar.Part:
    """Returns the filter as the project's manifest has it, with other rules."""
    made: istio_sidecar.Part = copy.deepcopy(filters()[0]["spec"]["configPatches"][0]["patch"]["value"])
    value = {"@type": "type.googleapis.com/google.protobuf.Struct", "value": rules}
    made["typed_config"]["config"]["configuration"] = value
    return made
