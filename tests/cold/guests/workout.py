"""A filter that puts CPython through its paces: at a configuration it logs a line for each exercise, with what came out."""

import proxy_wasm
from tests.cold.guests.exercises import formats, language, values  # noqa: F401
from tests.cold.guests.exercises.exercise import exercises


class Root(proxy_wasm.RootContext):
    """Runs the exercises."""

    def on_configure(self, configuration: bytes) -> bool:
        """Logs what each of them returns, or how it failed."""
        for name, function in exercises.items():
            try:
                outcome = repr(function())
            except Exception as error:
                outcome = f"FAILED {type(error).__name__}: {error}"
            proxy_wasm.info(f"{name}: {outcome}")
        return True


proxy_wasm.register(Root)
