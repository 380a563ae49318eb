"""Writes a module as an OCI image layout, byte for byte the same wherever it is written.

There are two variants, and one manifest cannot be both. `compat` has `plugin.wasm` in a tar layer: Istio, Envoy Gateway and Kubernetes'
image volumes take it. `oci` has the module itself as a layer, so that the layer's digest is the module's: Envoy can fetch it from the
registry.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VARIANTS = ("compat", "oci")
FILE_NAME = "plugin.wasm"
"""What the module is called in the layer of `compat`."""
VARIANT_ANNOTATION = "module.wasm.image/variant"
MODULE_ANNOTATION = "io.github.proxy-wasm.module.sha256"
"""The manifest's annotation with the digest of the module inside, in hexadecimal."""

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
TAR_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
WASM_CONFIG = "application/vnd.module.wasm.config.v1+json"
WASM_CONTENT = "application/vnd.module.wasm.content.layer.v1+wasm"

_MARKER = "oci-layout"
_STORED = 0xFFFF


def write(module: bytes, directory: Path, variant: str = "compat", annotations: Mapping[str, str] | None = None) -> str:
    """Writes a layout with one image into a directory that is made for it, and returns the manifest's digest, `sha256:…`.

    `annotations` are the manifest's, beside the variant and the module's digest. Raises ValueError for another variant, for what is no
    module, and for a directory that has something else than a layout in it. Raises OSError if it cannot write.
    """
    if variant not in VARIANTS:
        raise ValueError(f"there is no variant {variant!r} of an image: it is one of {', '.join(VARIANTS)}")
    if not module.startswith(b"\0asm\1\0\0\0"):
        raise ValueError("this is no core module: it does not begin as WebAssembly 1.0 does")
    if directory.is_dir() and not is_layout(directory) and any(directory.iterdir()):
        raise ValueError(f"{directory} is there already, and is no image; choose another folder, or remove it")
    layout = _Layout(directory)
    config, layers = _compat(layout, module) if variant == "compat" else _oci(layout, module)
    own = {VARIANT_ANNOTATION: variant, MODULE_ANNOTATION: hashlib.sha256(module).hexdigest()}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": layers,
        "annotations": {**(annotations or {}), **own},
    }
    described = layout.blob(MANIFEST, _canonical(manifest))
    layout.file("index.json", _canonical({"schemaVersion": 2, "manifests": [described]}))
    return str(described["digest"])


def is_layout(directory: Path) -> bool:
    """Tells whether a directory is an image layout."""
    return (directory / _MARKER).is_file()


def digest(directory: Path) -> str:
    """Returns the digest of the only manifest of a layout, `sha256:…`; raises ValueError if there is not just one."""
    manifests = json.loads((directory / "index.json").read_text(encoding="utf-8"))["manifests"]
    if len(manifests) != 1:
        raise ValueError(f"{directory} has {len(manifests)} images, and not one")
    return str(manifests[0]["digest"])


def blob(directory: Path, name: str) -> bytes:
    """Returns what a digest of a layout names; raises ValueError if the bytes are not those."""
    content = (directory / "blobs" / name.replace(":", "/")).read_bytes()
    if "sha256:" + hashlib.sha256(content).hexdigest() != name:
        raise ValueError(f"{directory}: the blob {name} has another digest")
    return content


def gzip_stored(content: bytes) -> bytes:
    """Returns content as gzip without compression: a module is packed already, and each zlib would deflate it in its own way."""
    out = [b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"]
    for at in range(0, max(len(content), 1), _STORED):
        part = content[at : at + _STORED]
        out += [struct.pack("<BHH", at + _STORED >= len(content), len(part), len(part) ^ _STORED), part]
    out.append(struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF))
    return b"".join(out)


class _Layout:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        self.file(_MARKER, _canonical({"imageLayoutVersion": "1.0.0"}))

    def file(self, name: str, content: bytes) -> None:
        (self._directory / name).write_bytes(content)

    def blob(self, media_type: str, content: bytes, **more: Any) -> dict[str, Any]:
        name = hashlib.sha256(content).hexdigest()
        self.file(f"blobs/sha256/{name}", content)
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(content), **more}


def _compat(layout: _Layout, module: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    tar = _tar(module)
    # A platform that every container runtime takes: with wasip1 and wasm, containerd refuses the image.
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]},
    }
    return layout.blob(CONFIG, _canonical(config)), [layout.blob(TAR_GZIP, gzip_stored(tar))]


def _oci(layout: _Layout, module: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    runtime = _canonical({"type": "envoy_proxy", "abiVersions": ["v0.2.1"], "config": {"root_ids": [""]}})
    titles = [{"org.opencontainers.image.title": title} for title in ("runtime-config.json", FILE_NAME)]
    layers = [
        layout.blob(WASM_CONFIG, runtime, annotations=titles[0]),
        layout.blob(WASM_CONTENT, module, annotations=titles[1]),
    ]
    return layout.blob(WASM_CONFIG, runtime), layers


def _tar(module: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        # Nobody's, of no time, and for all to read: a TarInfo has these by itself, but for the mode.
        info = tarfile.TarInfo(FILE_NAME)
        info.size, info.mode = len(module), 0o444
        tar.addfile(info, io.BytesIO(module))
    return out.getvalue()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
