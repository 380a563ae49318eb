"""The ABI table, as the SDK's test hosts read it too (`proxy_wasm/testing/abi.py`).

That file is loaded alone, without the package around it: the SDK would bring a test host into the builder, and each of its changes
would build CPython anew.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy_wasm.testing.abi import Abi, Callback, HostCall, Kind, read_abi

__all__ = ["Abi", "Callback", "HostCall", "Kind", "read_abi"]

_NAME = "proxy_wasm.testing.abi"
# Not resolve(): it would lead out of a sandbox made of links.
_PATH = Path(os.path.abspath(__file__)).parent.parent.joinpath(*_NAME.split(".")).with_suffix(".py")


def _load() -> None:
    if _NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(_NAME, _PATH)
        assert spec is not None and spec.loader is not None
        sys.modules[_NAME] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[_NAME])
    globals().update({name: getattr(sys.modules[_NAME], name) for name in __all__})


_load()
