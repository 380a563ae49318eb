"""A filter that says what its configuration evaluates to: to try in the module what works on a desktop."""

import proxy_wasm
from tests.host.guests.evaluate import evaluate


class Root(proxy_wasm.RootContext):
    """Evaluates its configuration."""

    def on_configure(self, configuration: bytes) -> bool:
        """Logs the value of an expression."""
        proxy_wasm.info(evaluate(configuration.decode()))
        return True


proxy_wasm.register(Root)
