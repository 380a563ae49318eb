"""The documents are plain: a sentence has at most 25 words and no chain of semicolons, and every link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

WORDS = 25
GENERATED = "docs/performance.md"
IGNORED = (".github", "bazel-", "bench-report")
# What English readers stumble over: "is none" reads like Python's None, "what of" and "stands in" like another language.
STUMBLES = re.compile(r"\b(?:is|are) none\b|\bwhat of\b|\bstands? in\b|;[^;]*;")
_CODE = re.compile(r"```.*?```", re.DOTALL)
_NO_PROSE = re.compile(r"^(?:    |\||#|<).*$", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n\s*\n|\n\s*(?:[-*]|\d+\.) ")
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+(?=[\w`\[*(\"])|(?<=[.!?][)\"*])\s+(?=[A-Z`\[*(\"])")
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def documents() -> list[Path]:
    """Returns the documents of the project, but for generated ones."""
    found = [path for path in Path().rglob("*.md") if not path.parts[0].startswith(IGNORED) and str(path) != GENERATED]
    assert len(found) > 10
    return sorted(found)


def sentences(text: str) -> Iterator[str]:
    """Yields the sentences of a document's prose."""
    prose = _NO_PROSE.sub("", _CODE.sub("", text))
    for paragraph in _PARAGRAPH.split(prose):
        yield from (sentence for sentence in _SENTENCE.split(" ".join(paragraph.split())) if sentence)


@pytest.mark.parametrize("path", documents(), ids=str)
def test_the_documents_are_plain(path: Path) -> None:
    wrong = [s for s in sentences(path.read_text(encoding="utf-8")) if len(s.split()) > WORDS or STUMBLES.search(s)]
    assert not wrong, "\n".join(["say it in shorter sentences, with other words:", *wrong])


@pytest.mark.parametrize("path", documents(), ids=str)
def test_every_link_leads_somewhere(path: Path) -> None:
    links = _LINK.findall(_CODE.sub("", path.read_text(encoding="utf-8")))
    # In Bazel's sandbox a document is a link into the workspace, where what it leads to is.
    folder = path.resolve().parent
    gone = [link for link in links if "://" not in link and not (folder / link).exists()]
    assert not gone


def test_long_and_strange_sentences_are_found() -> None:
    text = (
        "# A heading that is none\n\nShort one. "
        + "word " * 26
        + "end. Where this stands in the file.\n\n    code; code; code\n"
    )
    found = [s for s in sentences(text) if len(s.split()) > WORDS or STUMBLES.search(s)]
    assert [s.split()[0] for s in found] == ["word", "Where"]
