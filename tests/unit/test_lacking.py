"""A build's warning of an import says why just that module is not there."""

from __future__ import annotations

import pytest

from command import lacking

VAGUE = "CPython in a proxy lacks a module that it imports"


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("ssl", "has no C library for it, and the proxy does TLS"),
        ("ctypes.util", "has no C library for it"),
        ("tkinter", "there is no terminal in a proxy"),
        ("mine", VAGUE),
    ],
)
def test_the_reason_is_that_of_the_module(module: str, why: str) -> None:
    warning = f"plugin.py:5: {module} is imported in f, and will not be in the proxy: {VAGUE}"
    assert why in lacking.explained(warning)
    assert lacking.explained(warning).startswith(warning.removesuffix(VAGUE))


def test_other_warnings_stay_as_they_are() -> None:
    assert lacking.explained("training: ssl is imported") == "training: ssl is imported"
