"""What a test asks for and a real Envoy does not show."""

from __future__ import annotations

import unittest

_ELSEWHERE = "`pytest` and `pytest --wasm` run this test"


class NotShownError(unittest.SkipTest):
    """A real Envoy does not show what the test asks for, or no test can make it do that; pytest skips the test."""

    def __init__(self, what: str, why: str = "a real Envoy does not show that to a test") -> None:
        super().__init__(f"{what}: {why}; {_ELSEWHERE}")
