"""Lays out the site's pages: each is a file of `pages/`, into which documents come from where the facts live.

A line `<<< filter/README.md` becomes that document, and `<<< README.md#install` one section of it. `#top` is what comes before the first
section. Links between documents lead to their pages. A link to a file that has no page becomes its text.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

_INCLUDE = re.compile(r"^<<< ([^\s#]+)(?:#(\S+))?$", re.MULTILINE)
_SECTION = re.compile(r"^## ", re.MULTILINE)
# Code is left alone: `handlers[0](event)` is no link.
_CODE_OR_LINK = re.compile(
    r"(?P<code>^```.*?^```|^ {4}.*?$|(?<!\[)`[^`\n]+`)|\[(?P<text>[^\]]*)\]\((?P<path>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)",
    re.DOTALL | re.MULTILINE,
)
_FILES = ("plugin.py", "test_plugin.py", "envoy.yaml")
_LANGUAGES = {".py": "python", ".yaml": "yaml"}


class SiteError(Exception):
    """A page includes what is not there."""


def slug(heading: str) -> str:
    """Returns a heading's anchor, as the generator makes it."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def section(document: str, name: str) -> str:
    """Returns one section of a document, its heading included; raises `KeyError` if there is no such section."""
    top, *rest = _SECTION.split(document)
    sections = {"top": top} | {slug(text.partition("\n")[0]): f"## {text}" for text in rest}
    return sections[name]


def example_page(folder: Path) -> str:
    """Returns the page of an example: its README, and its files."""
    parts = [f"<<< {folder.as_posix()}/README.md"]
    for name in _FILES:
        if (folder / name).is_file():
            code = (folder / name).read_text(encoding="utf-8")
            parts.append(f"## {name}\n\n```{_LANGUAGES[Path(name).suffix]}\n{code}```")
    return "\n\n".join(parts) + "\n"


def read_pages(folder: Path, examples: Path) -> dict[str, str]:
    """Returns the text of each page, by its path in the site's sources."""
    pages = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.md")}
    for readme in sorted(examples.glob("*/README.md")):
        if (readme.parent / "plugin.py").is_file():
            pages[f"cookbook/{readme.parent.name}.md"] = example_page(readme.parent)
    return pages


def homes(pages: Mapping[str, str]) -> dict[str, str]:
    """Returns which page has a document: the one that includes all of it, or else the first that includes its top."""
    found: dict[str, str] = {}
    for whole in (True, False):
        for page, text in sorted(pages.items()):
            for document, name in _INCLUDE.findall(text):
                if not name if whole else name == "top":
                    found.setdefault(document, page)
    return found


def relinked(text: str, document: str, page: str, home: Mapping[str, str]) -> str:
    """Returns a document's text with its links as a page needs them."""

    def link(found: re.Match[str]) -> str:
        if found["code"] is not None or "://" in found["path"] or not found["path"]:
            return found[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(document), found["path"]))
        there = home.get(target) or home.get(posixpath.join(target, "README.md"))
        if there is None:
            return found["text"]
        return f"[{found['text']}]({posixpath.relpath(there, posixpath.dirname(page) or '.')}{found['anchor'] or ''})"

    return _CODE_OR_LINK.sub(link, text)


def stage(pages: Mapping[str, str], root: Path, out: Path) -> None:
    """Writes the pages with what they include, or raises `SiteError`."""
    home = homes(pages)
    for page, text in pages.items():

        def included(found: re.Match[str], page: str = page) -> str:
            document, name = found.groups()
            try:
                whole = (root / document).read_text(encoding="utf-8")
                part = section(whole, name) if name else whole
            except (OSError, KeyError) as error:
                raise SiteError(f"{page}: there is no {found[0].removeprefix('<<< ')}") from error
            return relinked(part, document, page, home).rstrip()

        target = out / page
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_INCLUDE.sub(included, text), encoding="utf-8")
