"""A treemap: areas are sizes, nothing overlaps, and the page needs nothing else."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree

import pytest

from command.treemap import Picture, Rectangle, Tile, gathered, page, squarified

ROOM = Rectangle(10, 20, 600, 400)


@pytest.mark.parametrize("sizes", [[6, 6, 4, 3, 2, 2, 1], [1], [1000, 1, 1, 1], [1] * 50, [*range(99, 0, -1)]])
def test_areas_are_sizes_and_nothing_overlaps(sizes: list[float]) -> None:
    found = squarified(sizes, ROOM)
    scale = ROOM.width * ROOM.height / sum(sizes)
    assert [one.width * one.height for one in found] == pytest.approx([size * scale for size in sizes])
    for one in found:
        assert one.x >= ROOM.x - 1e-6 and one.x + one.width <= ROOM.x + ROOM.width + 1e-6
        assert one.y >= ROOM.y - 1e-6 and one.y + one.height <= ROOM.y + ROOM.height + 1e-6
    for a, b in itertools.combinations(found, 2):
        across = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
        down = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
        assert min(across, down) < 1e-6


def test_the_example_of_the_algorithms_authors() -> None:
    widths = [round(one.width, 2) for one in squarified([6, 6, 4, 3, 2, 2, 1], Rectangle(0, 0, 6, 4))]
    assert widths == [3, 3, 1.71, 1.29, 1.2, 1.2, 0.6]


def test_the_smallest_are_one_tile() -> None:
    found = gathered([Tile(str(n), n) for n in range(1, 6)], most=2)
    assert [(tile.name, tile.size) for tile in found] == [("5", 5), ("4", 4), ("3 smaller ones", 6)]


def test_the_page_needs_nothing_else_and_shows_names_as_they_are() -> None:
    small = Tile("small", parts=[Tile("part of it", 5)])
    groups = [
        Tile("<a> & b", parts=[Tile("one<script>", 3000), Tile("two", 1000)]),
        Tile("alone", 495),
        small,
        Tile("empty"),
    ]
    shown = page("a.wasm", [Picture("title", "text", groups)], "the <report>")
    assert not re.search(r"https?:|src=|href=|<script|@import|url\(", shown)
    assert "&lt;a&gt; &amp; b: 4.0 kB" in shown and "the &lt;report&gt;" in shown
    svg = ElementTree.fromstring(shown[shown.index("<svg") : shown.index("</svg>") + 6])
    of_small = ["small: 5 bytes", "part of it: 5 bytes"]
    titles = [title.text for title in svg.iter("title")]
    assert titles == ["<a> & b: 4.0 kB", "one<script>: 3.0 kB", "two: 1.0 kB", "alone: 495 bytes", *of_small]
    assert "<td class=number>4.5 kB" in shown


def test_a_name_that_is_cut_says_so() -> None:
    text = page("a", [Picture("b", "c", [Tile("short", 1e6), Tile("a name that has no room for it", 1e5)])])
    assert ">short: 1.00 MB</text>" in text and re.search(">a[^<]*…</text>", text)
