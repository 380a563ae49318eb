"""A client pod's listeners with the project's `EnvoyFilter`s, as Istio puts them together."""

from __future__ import annotations

from tests.mesh import envoy_filter, istio_sidecar, manifests


def listeners(
    components: list[str] | None = None, catch_all: str = istio_sidecar.PASSTHROUGH
) -> list[istio_sidecar.Part]:
    """Returns the listeners; `components` are those of `k8s/components` that the overlay takes. Each patch must do something."""
    found = istio_sidecar.listeners(catch_all)
    resources = manifests.read("envoyfilter", components)
    applied = envoy_filter.apply(found, manifests.of_kind(resources, "EnvoyFilter"))
    assert applied and applied == [1] * len(applied)
    return found
