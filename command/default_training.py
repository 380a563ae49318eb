"""The training of a project that has none: the SDK's own, with the project's configuration."""

from __future__ import annotations

from collections.abc import Iterator

from proxy_wasm.testing import training

configuration = b""
"""The plugin's configuration, which the build sets."""


def train(module: bytes) -> Iterator[bytes]:
    """Yields the memory of a VM that has had connections."""
    yield from training.train(module, configuration)
