"""A filter that says what its configuration evaluates to: to try in the module what works on a desktop."""

import importlib
import sys

import proxy_wasm
from tests.host.guests.evaluate import evaluate

# No source names it, and it is in use though nobody can import it any more.
_unloaded = importlib.import_module("cma" + "th")
del sys.modules["cmath"]


class Root(proxy_wasm.RootContext):
    """Evaluates its configuration."""

    def on_configure(self, configuration: bytes) -> bool:
        """Logs the value of an expression."""
        proxy_wasm.info(str(_unloaded.sqrt(-4)) if configuration == b"unloaded" else evaluate(configuration.decode()))
        return True


proxy_wasm.register(Root)
