"""The guides say what is true: programs run, tables name every callback and host call, the rule shown is the filter's."""

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


def test_the_rule_that_the_readme_shows_is_the_filters() -> None:
    section = Path("README.md").read_text(encoding="utf-8").partition("## Change the rule")[2].partition("\n## ")[0]
    shown = [line for line in section.splitlines(keepends=True) if line.startswith("    ")]
    assert shown and "".join(shown) in Path("filter/routing.py").read_text(encoding="utf-8")
