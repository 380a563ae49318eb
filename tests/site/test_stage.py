"""Pages are put together of documents, and links between these lead to pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.site.stage import SiteError, homes, relinked, section, stage

DOCUMENT = "# Title\n\nFirst.\n\n## One `two`\n\nText.\n\n### Below\n\n## Last\n\nEnd.\n"


def test_a_section_ends_where_the_next_begins() -> None:
    assert section(DOCUMENT, "top") == "# Title\n\nFirst.\n\n"
    assert section(DOCUMENT, "one-two") == "## One `two`\n\nText.\n\n### Below\n\n"
    assert section(DOCUMENT, "last") == "## Last\n\nEnd.\n"


def test_links_lead_to_pages_and_lose_what_has_none() -> None:
    home = homes({"guide/a.md": "<<< a/README.md\n", "index.md": "<<< README.md#top\n<<< b.md#part\n"})
    assert home == {"a/README.md": "guide/a.md", "README.md": "index.md"}
    text = "[`a`](../a/README.md#x), [a](../a), [top](../README.md), [code](../a/plugin.py), [far](https://example.com)"
    expected = "[`a`](a.md#x), [a](a.md), [top](../index.md), code, [far](https://example.com)"
    assert relinked(text, "c/README.md", "guide/c.md", home) == expected


def test_code_is_left_alone() -> None:
    for code in ("    calls[0](plugin.py)", "```\ncalls[0](plugin.py)\n```", "`calls[0](plugin.py)`"):
        assert relinked(code, "README.md", "index.md", {}) == code


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(DOCUMENT)
    stage({"guide/page.md": "# Mine\n\n<<< a.md#last\n"}, tmp_path, tmp_path / "out")
    assert (tmp_path / "out/guide/page.md").read_text() == "# Mine\n\n## Last\n\nEnd.\n"
    for page in ("<<< b.md\n", "<<< a.md#other\n"):
        with pytest.raises(SiteError, match=r"page\.md: there is no [ab]\.md"):
            stage({"page.md": page}, tmp_path, tmp_path / "out")
