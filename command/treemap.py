"""Draws sizes as a treemap, a picture in which each thing has an area of its size: SVG, in a page that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 1200.0, 640.0
_HEAD = 22.0  # of a group, for its name
_LEAST = 26.0, 11.0  # a smaller tile has no room for its name
_LETTER = 6.2
_COLOURS = ("#b9502f", "#3a6ea5", "#5b8c3a", "#8a6d9e", "#a08030", "#607080")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em; color: #222; background: #fff }
svg { width: 100%; height: auto; display: block } h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em }
svg text { font: 11px system-ui, sans-serif; fill: #fff; pointer-events: none } svg .group { font-weight: 600; font-size: 13px }
svg rect { stroke: #fff; stroke-width: 1 } svg .tile:hover { stroke: #000; stroke-width: 2 }
td { padding: 0 1.5em 0 0 }
td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums } pre { white-space: pre-wrap }
"""


@dataclass(frozen=True)
class Tile:
    """Something with a size in bytes; a group has parts, and is as large as they are."""

    name: str
    own: float = 0
    parts: Sequence[Tile] = ()

    @property
    def size(self) -> float:
        """The size in bytes."""
        return self.own + sum(part.size for part in self.parts)


@dataclass(frozen=True)
class Picture:
    """A treemap with a title, and a sentence about what its areas are."""

    title: str
    text: str
    groups: Sequence[Tile]


@dataclass(frozen=True)
class Rectangle:
    """Where something is drawn."""

    x: float
    y: float
    width: float
    height: float


def page(title: str, pictures: Sequence[Picture], text: str = "") -> str:
    """Returns a page of HTML with pictures, the sizes of their groups, and a text at the end."""
    parts = [f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"]
    parts += ['<meta name=viewport content="width=device-width, initial-scale=1">', f"<style>{_STYLE}</style>"]
    parts.append(f"<h1>{html.escape(title)}</h1>")
    for picture in pictures:
        parts += [f"<h2>{html.escape(picture.title)}</h2>", f"<p>{html.escape(picture.text)}</p>"]
        parts += [_svg(picture.groups), _table(picture.groups)]
    if text:
        parts.append(f"<details><summary>The report as text</summary><pre>{html.escape(text)}</pre></details>")
    return "\n".join(parts) + "\n"


def gathered(tiles: Sequence[Tile], most: int = 120) -> list[Tile]:
    """Returns the largest tiles, and one more for all the others."""
    ordered = sorted(tiles, key=lambda tile: (-tile.size, tile.name))
    rest = ordered[most:]
    others = [Tile(f"{len(rest):,} smaller ones", sum(tile.size for tile in rest))] if rest else []
    return [*ordered[:most], *others]


def squarified(sizes: Sequence[float], room: Rectangle) -> list[Rectangle]:
    """Returns a rectangle for each size, from the largest to the smallest, none longer than it must be.

    It is the algorithm of Bruls, Huizing and van Wijk: a row takes one more as long as its worst rectangle gets better by it.
    """
    if not sizes:
        return []
    scale = room.width * room.height / sum(sizes)
    areas = [size * scale for size in sizes]
    found: list[Rectangle] = []
    while areas:
        side = min(room.width, room.height)
        count = 1
        while count < len(areas) and _worst(areas[: count + 1], side) <= _worst(areas[:count], side):
            count += 1
        row, areas = areas[:count], areas[count:]
        room = _lay(row, room, found)
    return found


def _worst(row: Sequence[float], side: float) -> float:
    thick = sum(row) / side
    return max(max(thick * thick / area, area / (thick * thick)) for area in row)


def _lay(row: Sequence[float], room: Rectangle, found: list[Rectangle]) -> Rectangle:
    """Lays a row along the shorter side, and returns the room that is left."""
    upright = room.width >= room.height
    side = room.height if upright else room.width
    thick, at = sum(row) / side, 0.0
    for area in row:
        length = area / thick
        if upright:
            found.append(Rectangle(room.x, room.y + at, thick, length))
        else:
            found.append(Rectangle(room.x + at, room.y, length, thick))
        at += length
    if upright:
        return Rectangle(room.x + thick, room.y, max(room.width - thick, 0), room.height)
    return Rectangle(room.x, room.y + thick, room.width, max(room.height - thick, 0))


def _svg(groups: Sequence[Tile]) -> str:
    colours = dict(zip((group.name for group in groups), _COLOURS * len(groups), strict=False))
    ordered = _ordered(groups)
    parts = [f'<svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img">']
    places = squarified([group.size for group in ordered], Rectangle(0, 0, _WIDTH, _HEIGHT))
    for group, place in zip(ordered, places, strict=True):
        parts += _group(group, place, colours[group.name])
    return "\n".join([*parts, "</svg>"])


def _ordered(tiles: Sequence[Tile]) -> list[Tile]:
    return sorted((tile for tile in tiles if tile.size > 0), key=lambda tile: -tile.size)


def _group(group: Tile, place: Rectangle, colour: str) -> Iterator[str]:
    yield _tile(group, place, colour, "group", _HEAD)
    parts = _ordered(group.parts)
    # A group without room for a head has only parts, which say their names themselves.
    head = _HEAD if place.height >= 2 * _HEAD else 0
    within = Rectangle(place.x, place.y + head, place.width, place.height - head)
    for part, inner in zip(parts, squarified([part.size for part in parts], within), strict=True):
        yield _tile(part, inner, colour, "tile", inner.height)


def _tile(tile: Tile, place: Rectangle, colour: str, kind: str, height: float) -> str:
    title = f"{tile.name}: {_bytes(tile.size)}"
    shown = f'<g><title>{html.escape(title)}</title><rect class="{kind}" x="{place.x:.1f}" y="{place.y:.1f}" '
    shown += f'width="{place.width:.1f}" height="{place.height:.1f}" fill="{colour}"/>'
    if place.width >= _LEAST[0] and height >= _LEAST[1]:
        name = title if kind == "group" else tile.name
        room = max(int((place.width - 6) / (_LETTER * (1.2 if kind == "group" else 1))), 1)
        cut = name if len(name) <= room else f"{name[: room - 1]}…"
        below = min(height / 2 + 4, 15)
        shown += f'<text class="{kind}" x="{place.x + 4:.1f}" y="{place.y + below:.1f}">{html.escape(cut)}</text>'
    return shown + "</g>"


def _table(groups: Sequence[Tile]) -> str:
    total = sum(group.size for group in groups)
    rows = [(group.name, _bytes(group.size), f"{100 * group.size / total:.0f} %") for group in _ordered(groups)]
    rows.append(("together", _bytes(total), ""))
    return (
        "<table>"
        + "".join(f"<tr><td>{html.escape(n)}<td class=number>{s}<td class=number>{p}" for n, s, p in rows)
        + "</table>"
    )


def _bytes(size: float) -> str:
    return f"{size / 1e6:.2f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB" if size >= 1e3 else f"{size:.0f} bytes"
