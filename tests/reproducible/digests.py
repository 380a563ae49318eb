"""The committed digests of what is built, and how to bring them up to date: `./bazelw run //tests/reproducible:update`."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from oci import image

IMAGE = Path("filter/image")
"""What the manifests in `k8s/` name by its digest."""
BUILT = [
    Path("filter/filter.wasm"),
    IMAGE,
    Path("filter/image_oci"),
    Path("toolchain/runtime.wasm"),
    # Its name has the version.
    *Path("wheel").glob("*.whl"),
]
UPDATE = "./bazelw run //tests/reproducible:update"

_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


def committed(built: Path) -> Path:
    """Returns the file that holds a built file's digest, as `sha256sum` writes it."""
    return built.with_name(("wheel" if built.suffix == ".whl" else built.name) + ".sha256")


def digest(built: Path) -> str:
    """Returns the sha256 of a built file, or of an image's manifest, in hexadecimal."""
    if built.is_dir():
        return image.digest(built).removeprefix("sha256:")
    return hashlib.sha256(built.read_bytes()).hexdigest()


def named(manifest: Path) -> set[str]:
    """Returns the digests that a manifest of `k8s/` names."""
    return set(_DIGEST.findall(manifest.read_text(encoding="utf-8")))


def name_image(manifest: Path, wanted: str) -> None:
    """Makes a manifest of `k8s/` name the image by another digest: it names no other."""
    if named(manifest) - {wanted}:
        manifest.write_text(_DIGEST.sub(wanted, manifest.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    """Writes the digests of what was just built into the workspace, and that of the image into the manifests."""
    workspace = Path(os.environ["PROXY_WASM_WORKSPACE"])
    for built in BUILT:
        (workspace / committed(built)).write_text(f"{digest(built)}  {built.name}\n")
        print(f"{committed(built)}: {digest(built)}")
    for manifest in sorted((workspace / "k8s").rglob("*.yaml")):
        name_image(manifest, digest(IMAGE))


if __name__ == "__main__":
    main()
