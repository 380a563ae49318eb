"""What the tests of configurations share."""

from __future__ import annotations

import json

import pytest

from filter.configuration import read_configuration
from filter.readers import ConfigurationError


def refusal(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(text)
    reason = str(caught.value)
    assert reason.isprintable() and reason.isascii() and len(reason) < 1200
    return reason


def dump(policy: object) -> object:
    """Returns all that a policy consists of, in plain values."""
    if isinstance(policy, tuple | list):
        return [dump(item) for item in policy]
    slots: tuple[str, ...] = getattr(type(policy), "__slots__", ())
    return {name: dump(getattr(policy, name)) for name in slots} if slots else policy


def rule(**match: object) -> dict[str, object]:
    return {"match": match, "action": {"cluster": "a"}}
