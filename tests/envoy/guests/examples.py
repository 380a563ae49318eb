"""All examples in one module: each plugin has its folder's name as its root id, with its own behind a dot if it has one."""

import importlib

import proxy_wasm
from examples.names import EXAMPLES


def root_id_of(example: str, root_id: str | None) -> str:
    """Returns the root id here of what an example registers for a root id, or for every one."""
    return f"{example}.{root_id}" if root_id else example


def _load(example: str) -> None:
    register = proxy_wasm.register

    def register_here(root_class: type[proxy_wasm.RootContext], root_id: str | None = None) -> None:
        register(root_class, root_id_of(example, root_id))

    proxy_wasm.register = register_here
    try:
        importlib.import_module(f"examples.{example}.plugin")
    finally:
        proxy_wasm.register = register


for _example in EXAMPLES:
    _load(_example)
