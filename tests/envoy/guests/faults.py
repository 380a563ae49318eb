"""What the faulty filter can do: a connection asks for one by its place here, in the last octet of its source address."""

FAULTS = (
    "none",
    "raises",
    "recurses",
    "eats_memory",
    "keeps_memory",
    "forgets",
    "sets_a_bad_value",
    "sets_an_unknown_path",
    "calls_an_unknown_function",
    "reads_an_absent_property",
    "loops",
    "traps",
    "exits",
)

_FIRST = 100
"""The last octet of the first one. A training connects from others."""


def source(fault: str) -> str:
    """Returns the source address that asks for a fault; raises ValueError if there is no such fault."""
    return f"127.66.0.{_FIRST + FAULTS.index(fault)}"


def asked_by(source: str) -> str:
    """Returns the fault that a source address asks for, and "none" for all that ask for none."""
    place = next((place for place in range(len(FAULTS)) if source == f"127.66.0.{_FIRST + place}"), 0)
    return FAULTS[place]
