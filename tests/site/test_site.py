"""The built site: every link leads somewhere, nothing comes from elsewhere, and what was promised is there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import proxy_wasm

SITE = Path("docs/html")
PAGES = sorted(SITE.rglob("*.html"))
# The page of an address that is not there may be shown at any depth.
MISSING = SITE / "404.html"


@dataclass
class Page(HTMLParser):
    """What a page has, and what it asks for."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if "src" in found or (tag == "link" and found.get("rel") not in ("canonical", "next", "prev")):
            self.loaded.append(found.get("src") or found["href"])


@cache
def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def dead(path: Path, links: list[str]) -> list[str]:
    """Returns those links of a page that lead nowhere in the site."""
    found = []
    for link in links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
        target = target / "index.html" if target.is_dir() else target
        anchor = unquote(parts.fragment)
        if not target.is_file() or (anchor and anchor not in read(target).anchors):
            found.append(link)
    return found


@pytest.mark.parametrize("path", [page for page in PAGES if page != MISSING], ids=lambda path: path.relative_to(SITE))
def test_no_link_is_dead(path: Path) -> None:
    page = read(path)
    assert dead(path, page.links + page.loaded) == []


def test_a_dead_link_would_be_seen() -> None:
    page = SITE / "start.html"
    assert dead(page, ["index.html", "#install", "faq.html#what-does-it-cost", "https://example.com/"]) == []
    assert dead(page, ["nowhere.html", "#nowhere", "faq.html#nowhere"]) == [
        "nowhere.html",
        "#nowhere",
        "faq.html#nowhere",
    ]


def test_nothing_is_loaded_from_elsewhere() -> None:
    for path in PAGES:
        assert not [address for address in read(path).loaded if urlsplit(address).netloc], path
    for style in SITE.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text(encoding="utf-8")), style


def test_every_example_callback_and_document_has_its_page() -> None:
    examples = {path.parent.name for path in Path("examples").glob("*/plugin.py")}
    assert len(examples) > 20
    assert {path.stem for path in (SITE / "cookbook").glob("*.html")} == examples | {"index"}
    reference = read(SITE / "reference" / "contexts.html").anchors
    assert {"proxy_wasm.RootContext.on_configure", "proxy_wasm.StreamContext.on_new_connection"} <= reference
    for page in ("start", "faq", "compatibility", "performance", "security", "how/architecture", "guide/writing"):
        assert (SITE / f"{page}.html").is_file()


def test_the_reference_has_every_public_name() -> None:
    anchors = set().union(*(read(path).anchors for path in (SITE / "reference").glob("*.html")))
    documented = {anchor.rpartition(".")[2] for anchor in anchors}
    hint = "give it a line in a page of docs/site/pages/reference"
    assert set(proxy_wasm.__all__) - documented == set(), hint
    modules = {path.stem for path in Path("proxy_wasm").glob("[!_]*.py")}
    assert {f"proxy_wasm.{module}" for module in modules} - anchors == set(), hint


def test_nothing_tells_of_the_machine_or_of_today() -> None:
    for path in SITE.rglob("*"):
        if path.suffix in (".html", ".xml", ".json"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"/(?:tmp|home|root)/[\w.]*bazel|execroot|<lastmod>2", text), path
