"""Builds the documentation site: `python3 -m docs.site.build OUT`, in the repository's root."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from mkdocs.commands.build import build as build_site
from mkdocs.config import load_config

from docs.site.stage import read_pages, stage

HERE = Path("docs/site")
_COOKBOOK = "COOKBOOK"
"""In mkdocs.yml's navigation: a page for each example."""


def configuration(pages: list[str]) -> dict[str, Any]:
    """Returns what mkdocs.yml says, with the examples in its navigation."""
    read: dict[str, Any] = yaml.safe_load((HERE / "mkdocs.yml").read_text(encoding="utf-8"))
    examples = sorted(page for page in pages if page.startswith("cookbook/") and page != "cookbook/index.md")
    for entry in read["nav"]:
        for name, children in entry.items():
            if _COOKBOOK in children:
                at = children.index(_COOKBOOK)
                entry[name] = [*children[:at], *examples, *children[at + 1 :]]
    return read


def main(out: str) -> None:
    """Builds the site into a directory; a broken link or an unknown name stops it."""
    # Pages carry no date of the build: the same sources give the same bytes.
    os.environ["SOURCE_DATE_EPOCH"] = "315532800"
    # What mkdocs' theme says to developers.
    os.environ["NO_MKDOCS_2_WARNING"] = "1"
    with tempfile.TemporaryDirectory() as work:
        docs = Path(work, "docs")
        pages = read_pages(HERE / "pages", Path("examples"))
        stage(pages, Path(), docs)
        (docs / "site.css").write_bytes((HERE / "site.css").read_bytes())
        read = configuration(list(pages)) | {"docs_dir": str(docs), "site_dir": os.path.abspath(out)}
        file = Path(work, "mkdocs.yml")
        file.write_text(yaml.safe_dump(read), encoding="utf-8")
        loaded = load_config(str(file), strict=True)
        loaded.plugins.on_startup(command="build", dirty=False)
        build_site(loaded)


if __name__ == "__main__":
    main(*sys.argv[1:])
