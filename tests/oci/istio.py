"""What Istio's agent takes out of an image, by the rules of its imagefetcher.go: `compat` is tried first, then `oci`."""

from __future__ import annotations

import gzip
import io
import json
import posixpath
import tarfile
from collections.abc import Callable

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONTENT = "application/vnd.module.wasm.content.layer.v1+wasm"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class NotTaken(Exception):
    """Istio would not take this image; the text says why."""


def module_of(manifest: bytes, blob: Callable[[str], bytes]) -> tuple[str, bytes]:
    """Returns the variant as which an image is taken, and the module in it; `blob` returns what a digest names."""
    parsed = json.loads(manifest)
    if parsed.get("mediaType") == DOCKER_MANIFEST:
        raise NotTaken("a manifest of Docker's own type is read by other rules")
    layers = parsed["layers"]
    try:
        return "compat", _compat(layers, blob)
    except NotTaken as compat:
        try:
            return "oci", _oci(layers, blob)
        except NotTaken as oci:
            raise NotTaken(f"{compat}; {oci}") from oci


def _compat(layers: list[dict[str, str]], blob: Callable[[str], bytes]) -> bytes:
    if not layers:
        raise NotTaken("there is no layer")
    last = layers[-1]
    if last["mediaType"] != LAYER:
        raise NotTaken(f"the last layer is {last['mediaType']}")
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob(last["digest"])))) as tar:
        for member in tar:
            if posixpath.basename(member.name) == "plugin.wasm" and (file := tar.extractfile(member)):
                return file.read()
    raise NotTaken("the last layer has no plugin.wasm")


def _oci(layers: list[dict[str, str]], blob: Callable[[str], bytes]) -> bytes:
    if len(layers) != 2:
        raise NotTaken(f"there are {len(layers)} layers, and not two")
    for layer in layers:
        if layer["mediaType"] == CONTENT:
            return blob(layer["digest"])
    raise NotTaken(f"no layer is {CONTENT}")
