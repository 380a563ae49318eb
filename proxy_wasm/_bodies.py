"""The body of a request or a response, as far as the proxy holds it; like `_headers`, an object of it holds nothing itself."""

from __future__ import annotations

import _proxy_wasm

_END = 0xFFFFFFFF


class Body:
    """What the proxy holds of a body: in a body callback the bytes that came, and those that were held back before.

    Outside of that it is empty, and does not take bytes: BadArgumentError. So it is with a message without a body.
    """

    __slots__ = ("_buffer",)

    def __init__(self, buffer: int) -> None:
        self._buffer = buffer

    @property
    def size(self) -> int:
        """The number of bytes."""
        status = _proxy_wasm.proxy_get_buffer_status(self._buffer)
        return 0 if status is None else status[0]

    def read(self, start: int = 0, size: int | None = None) -> bytes:
        """Returns bytes from a position on, to the end if no size is given."""
        # The host adds the two in 32 bits.
        return _proxy_wasm.proxy_get_buffer_bytes(self._buffer, start, _END - start if size is None else size) or b""

    def replace(self, data: bytes | str) -> None:
        """Puts other bytes in the place of all; nothing in the place of nothing is no harm, also if there is no body."""
        if not data and not self.size:
            return
        _proxy_wasm.proxy_set_buffer_bytes(self._buffer, 0, _END, data)

    def append(self, data: bytes | str) -> None:
        """Puts bytes behind all others."""
        _proxy_wasm.proxy_set_buffer_bytes(self._buffer, _END, 0, data)

    def prepend(self, data: bytes | str) -> None:
        """Puts bytes before all others."""
        _proxy_wasm.proxy_set_buffer_bytes(self._buffer, 0, 0, data)

    def __repr__(self) -> str:
        return f"Body({self._buffer})"
