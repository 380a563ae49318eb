"""The author's guide says what is true: its programs run, and its tables name every callback and host call."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import proxy_wasm
from proxy_wasm import _calls
from proxy_wasm.testing.abi import CALLBACKS
from proxy_wasm.testing.inprocess import InProcess

GUIDE = (Path(os.path.abspath(proxy_wasm.__file__)).parent / "README.md").read_text(encoding="utf-8")


def test_the_programs_run() -> None:
    program, test = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    names: dict[str, Any] = {"InProcess": InProcess, "Action": proxy_wasm.Action}
    with InProcess():  # its registration ends here
        exec(program, names)
    exec(test, names)


def test_the_tables_are_complete() -> None:
    for name in set(CALLBACKS) - {"proxy_on_context_create"}:
        assert f"| `{name.removeprefix('proxy_')}(" in GUIDE
    for name in set(proxy_wasm.__all__) & set(vars(_calls)):
        assert re.search(rf"`{name}[`(]", GUIDE), name
