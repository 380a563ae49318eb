"""The scenes of the conversation: a connection asks for one by its place here, the last octet of its source address."""

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


def source(scene: str) -> str:
    """Returns the source address that asks for a scene; raises ValueError if there is no such scene."""
    return f"127.67.0.{SCENES.index(scene) + 1}"
