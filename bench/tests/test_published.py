"""docs/performance.md is what docs/performance.json makes: nobody has edited it."""

from __future__ import annotations

import json
from pathlib import Path

from bench.reporting import publish


def test_the_page_is_made_of_the_data() -> None:
    data = json.loads(Path(publish.DATA).read_text(encoding="utf-8"))
    assert Path(publish.PAGE).read_text(encoding="utf-8") == publish.page(data)
    assert not data["misroutes"] and not data["unanswered"]
