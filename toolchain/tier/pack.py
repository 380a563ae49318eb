"""Compresses what a tiered module unpacks by itself: its memory as it is at the start, and the bodies of cold functions.

A proxy keeps a module's bytes several times over. The format is deflate (RFC 1951), by libdeflate, whose output is the same on every
machine; the interpreter has the decoder (`inflate.h`).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import deflate
import wasmtime

from toolchain.memo import Memo, answered
from toolchain.tier.contract import BEYOND, ENTRY, ROOM
from toolchain.wasm.format import PAGE

BLOCK = 1 << 15
"""So many bytes of bodies are unpacked when one of them is first called."""

_PIECE = 1 << 16  # of the image; there must be room for what is packed, and in each VM that room stays
_LEVEL, _QUICK = 12, 1
_ZEROS = bytes(1 << 12)  # of a page of this size that is all zeros a VM need not have a copy


@dataclass(frozen=True)
class Block:
    """A stretch of memory, and what it is in the module: the same bytes, or fewer."""

    at: int
    size: int
    packed: bytes


Compress = Callable[[bytes], bytes]
"""What compresses a block: `compress`, or another that the decoder reads."""


def compress(data: bytes) -> bytes:
    """Compresses for a release."""
    return bytes(deflate.deflate_compress(data, _LEVEL))


def compress_quickly(data: bytes) -> bytes:
    """Compresses less, in a tenth of the time."""
    return bytes(deflate.deflate_compress(data, _QUICK))


def remembering(memo: Memo | None) -> Compress:
    """Returns `compress`, with a memo of what was compressed before."""
    return lambda data: answered(memo, f"deflate {_LEVEL}", data, lambda: compress(data))


def _pack(at: int, data: bytes, compress: Compress) -> Block:
    packed = compress(data)
    return Block(at, len(data), packed if len(packed) < len(data) else data)


def pack_image(image: bytes, compress: Compress) -> Iterator[Block]:
    """Yields what is not zero of a memory."""
    size = len(_ZEROS)
    pages = range(0, len(image), size)
    for zero, found in itertools.groupby(pages, lambda page: image[page : page + size] == _ZEROS[: len(image) - page]):
        stretch = [*found]
        end = min(stretch[-1] + size, len(image))
        for at in range(stretch[0], 0 if zero else end, _PIECE):
            yield _pack(at, image[at : min(at + _PIECE, end)], compress)


def cut(bodies: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the bodies in blocks, each whole."""
    block = bytearray()
    for body in bodies:
        if block and len(block) + len(body) > BLOCK:
            yield bytes(block)
            block.clear()
        block += body
    if block:
        yield bytes(block)


def pack_bodies(blocks: Iterable[bytes], compress: Compress | None) -> Iterator[Block]:
    """Yields blocks that lie one behind the other; with nothing to compress them they stay as they are."""
    at = 0
    for block in blocks:
        yield _pack(at, block, compress) if compress else Block(at, len(block), block)
        at += len(block)


def segment(blocks: Iterable[Block]) -> bytes:
    """Returns what the module holds of the blocks, in whole words."""
    packed = b"".join(block.packed for block in blocks)
    return packed + bytes(-len(packed) % 4)


def entries(blocks: Sequence[Block]) -> bytes:
    """Returns the table of blocks, one more than there are."""
    offsets = itertools.accumulate((len(block.packed) for block in blocks), initial=0)
    sizes = [(block.at, block.size) for block in blocks]
    form = ENTRY.form
    return b"".join(
        form.pack(at, size, offset, 0) for (at, size), offset in zip([*sizes, (0, 0)], offsets, strict=True)
    )


def checksum(data: bytes) -> int:
    """Returns Fletcher's checksum, of words of 32 bits and without a modulus but that of 64 bits: any bit that flips changes it."""
    engine, module = _summing()
    store = wasmtime.Store(engine)
    exports = wasmtime.Instance(store, module, []).exports(store)
    memory, sums = exports["memory"], exports["sums"]
    assert isinstance(memory, wasmtime.Memory)
    assert isinstance(sums, wasmtime.Func)
    memory.grow(store, -(-len(data) // PAGE))
    memory.write(store, data)
    found: int = sums(store, len(data))
    return found % (1 << 64)


# A module has a million words: Python needs more time for them than a build has.
_SUMS = """
(module
  (memory (export "memory") 1)
  (func (export "sums") (param $end i32) (result i64)
    (local $at i32) (local $sum i64) (local $sums i64)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $sum (i64.add (local.get $sum) (i64.load32_u (local.get $at))))
        (local.set $sums (i64.add (local.get $sums) (local.get $sum)))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $next)))
    (local.get $sums)))
"""


@functools.cache
def _summing() -> tuple[wasmtime.Engine, wasmtime.Module]:
    engine = wasmtime.Engine()
    return engine, wasmtime.Module(engine, _SUMS)


def room(blocks: Iterable[Block]) -> int:
    """Returns how many bytes of memory are needed to unpack any of these."""
    return ROOM + max((len(b.packed) for b in blocks if len(b.packed) < b.size), default=0) + BEYOND
