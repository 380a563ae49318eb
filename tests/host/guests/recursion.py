"""A filter that recurses deeply in C: each connection runs one case, and a line of the log says how it ended.

The last two bytes of the source address are the case's number. A case ends as its decorator says, `RecursionError` or nothing at all,
or the line says what happened instead. Past the last case there is nothing to do: `no case`. The files of `deep` have the cases.
"""

import proxy_wasm
from tests.host.guests.deep import callbacks, compilers, endings, finalizers, guarded, shallow, slots, unguarded  # noqa: F401
from tests.host.guests.deep.cases import cases

SOURCE = proxy_wasm.property_path("source", "address")


def run(number: int) -> None:
    """Runs a case and logs how it ended."""
    if number >= len(cases):
        proxy_wasm.info("no case")
        return
    name, expected, case = cases[number]
    try:
        case()
        outcome = None
    except BaseException as error:
        outcome = type(error)
        said = str(error)[:60]
    if outcome is expected:
        proxy_wasm.info(f"case {number} ok: {name}")
    else:
        proxy_wasm.info(f"case {number} FAILED: {name}: {outcome and outcome.__name__}: {said if outcome else ''}")


class Connection(proxy_wasm.StreamContext):
    def on_new_connection(self) -> None:
        address = (proxy_wasm.get_property(SOURCE) or b"").decode().rpartition(":")[0].split(".")
        run(int(address[2]) * 256 + int(address[3]))


class Root(proxy_wasm.RootContext):
    stream_context = Connection


proxy_wasm.register(Root)
