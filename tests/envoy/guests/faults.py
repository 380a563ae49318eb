"""What the faulty filter can do: a connection asks for one by its place here, the last octet of its source address."""

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


def source(fault: str) -> str:
    """Returns the source address that asks for a fault; raises ValueError if there is no such fault."""
    return f"127.66.0.{FAULTS.index(fault)}"
