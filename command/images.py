"""`proxy-wasm image` and `proxy-wasm push`: a module as an OCI image, which Kubernetes' gateways take."""

from __future__ import annotations

import tempfile
from http.client import HTTPException
from pathlib import Path

from command import inspecting
from oci import image, registry
from toolchain.tools import ToolchainError, read


def write(module: Path, directory: Path, variant: str) -> str:
    """Writes a module's image as an OCI layout and returns the manifest's digest; raises `ToolchainError`.

    What no proxy loads is refused, and a directory with something else in it.
    """
    inspecting.verified(module)
    try:
        return image.write(read(module), directory, variant)
    except ValueError as error:
        raise ToolchainError(str(error)) from None
    except OSError as error:
        raise ToolchainError(f"cannot write {directory}: {error.strerror}") from None


def push(module: Path, reference: str, variant: str | None, plain_http: bool) -> str:
    """Pushes a module's image, or the one in a folder, into a registry and returns the manifest's digest; raises `ToolchainError`."""
    if module.is_dir():
        if not image.is_layout(module):
            raise ToolchainError(f"{module} is a folder, and no image; give a module, or what `proxy-wasm image` wrote")
        if variant:
            raise ToolchainError(f"{module} is an image already; `proxy-wasm image --{variant}` writes that variant")
        return _pushed(module, reference, plain_http)
    with tempfile.TemporaryDirectory(prefix="proxy-wasm-") as directory:
        write(module, Path(directory), variant or "compat")
        return _pushed(Path(directory), reference, plain_http)


def _pushed(layout: Path, reference: str, plain_http: bool) -> str:
    try:
        return registry.push(layout, reference, plain_http)
    except (OSError, ValueError, HTTPException, registry.RegistryError) as error:
        raise ToolchainError(str(error)) from None
