"""The linked libraries' memory as it is before any code has run.

The component that componentize-py hands out holds a CPython which has run, with all that its own helpers imported and the
holes that they left: that state would be in every VM. Each library's own data is still at hand: the wheel carries the
libraries whole, as Zstandard frames or plain, and the code of each, which linking does not change, says which is which.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from toolchain.tools import ToolchainError, Tools, read
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import CODE, DATA, FormatError, Module, Reader, constant

# Writes every Zstandard frame of a file, decompressed, into files of a directory.
_UNPACK = """
const [fs, zlib] = [require('fs'), require('zlib')];
const [input, output] = process.argv.slice(1);
const data = fs.readFileSync(input), magic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
for (let at = data.indexOf(magic); at >= 0; at = data.indexOf(magic, at + 1)) {
  try {
    fs.writeFileSync(`${output}/${at}`, zlib.zstdDecompressSync(data.subarray(at)));
  } catch {
    // Four bytes that only look like a frame.
  }
}
"""


def binary() -> Path:
    """Returns the binary of the componentize-py that is installed."""
    found = importlib.util.find_spec("componentize_py.componentize_py")
    if found is None or found.origin is None:
        raise ToolchainError("componentize-py is not installed")
    return Path(found.origin)


class Wheel:
    """What componentize-py's wheel holds: its binary, and the libraries that are compressed in it."""

    def __init__(self, binary: Path, tools: Tools) -> None:
        unpacked = tools.work / "frames"
        unpacked.mkdir()
        tools.node("-e", _UNPACK, binary, unpacked)
        self._files = [*(read(path) for path in sorted(unpacked.iterdir())), read(binary)]

    def segments(self, library: Module) -> Iterator[tuple[int, bytes]]:
        """Yields the data segments of a linked library, each with its offset from the library's memory base."""
        code = library.get(CODE)
        found = [(data, at) for data in self._files if (at := data.find(code)) >= 0]
        if not found:
            raise FormatError("a library's code is not in the wheel")
        reader = Reader(found[0][0], found[0][1] + len(code))
        if reader.u8() != DATA:
            return
        reader = Reader(reader.take(reader.u32()))
        for _ in reader.repeat():
            if reader.u8() != 0:
                raise FormatError("a library's data segment that is not active")
            yield _offset(reader.expression()), reader.take(reader.u32())


def _offset(expression: bytes) -> int:
    """Reads `global.get $__memory_base`, to which a number may be added."""
    reader = Reader(expression)
    if reader.u8() != wasm.GLOBAL_GET:
        raise FormatError("a library's data segment that is not relative to its memory base")
    reader.u32()
    return constant(expression[reader.position :]) if expression[reader.position] != wasm.END else 0
