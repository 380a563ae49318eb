"""The scenes of the conversations: a connection asks for one by its place here, the last octet of its source address."""

SCENES = (
    "is_let_in",
    "is_turned_away",
    "times_out",
    "is_refused",
    "is_cut_off",
    "hears_nonsense",
    "raises",
    "retries",
    "has_no_endpoint",
    "leaves",
    "root_asks",
    "root_raises",
    "root_answers_for_the_stream",
    "tick_lets_in",
    "looks_around",
    "sniffs",
    "holds_data_back",
    "asks_about_first_bytes",
    "lets_in_twice",
    "returns_true",
    "returns_true_for_data",
    "counts_and_logs",
)


AWAITING = (
    "is_let_in",
    "is_turned_away",
    "times_out",
    "is_refused",
    "never_waits",
    "has_no_endpoint",
    "asks_twice",
    "asks_two_at_once",
    "one_of_two_raises",
    "raises",
    "raises_at_once",
    "returns_true",
    "leaves",
    "asks_about_first_bytes",
    "speaks_meanwhile",
    "speaks_and_is_turned_away",
    "stays_paused",
    "calls_back",
    "root_asks",
)
"""The scenes of the filter that awaits (awaiting.py)."""


def source(scene: str, scenes: tuple[str, ...] = SCENES) -> str:
    """Returns the source address that asks for a scene; raises ValueError if there is no such scene."""
    return f"127.67.0.{scenes.index(scene) + 1}"


def scene(address: bytes | None, scenes: tuple[str, ...] = SCENES) -> str:
    """Returns the scene for which a source address asks, with its port."""
    return scenes[int((address or b"").rpartition(b":")[0].rpartition(b".")[2]) - 1]
