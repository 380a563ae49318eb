"""What the workers' VMs share, as objects: `from proxy_wasm.shared import Queue, SharedDict`.

Shared are the VMs with the same `vm_id` in Envoy's configuration. What is shared stays as long as Envoy runs: there is no removing.
"""

from __future__ import annotations

from proxy_wasm._calls import (
    dequeue_shared_queue,
    enqueue_shared_queue,
    get_shared_data,
    register_shared_queue,
    resolve_shared_queue,
    set_shared_data,
)
from proxy_wasm._errors import CasMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar, overload

    from proxy_wasm._maps import Text

    Default = TypeVar("Default")

__all__ = ["Queue", "SharedDict"]

TRIES = 1000
_NOBODYS = 0xFFFFFFFF
"""A cas that no value comes to have: with it a key is written only if it is not there."""


class SharedDict:
    """Shared data as a mapping of bytes, whose keys begin with a prefix. It keeps nothing itself."""

    __slots__ = ("_prefix",)

    def __init__(self, prefix: Text = b"") -> None:
        self._prefix = _bytes(prefix)

    def __getitem__(self, key: Text) -> bytes:
        found = get_shared_data(self._prefix + _bytes(key))
        if found is None:
            raise KeyError(key)
        return found[0]

    if TYPE_CHECKING:

        @overload
        def get(self, key: Text) -> bytes | None: ...
        @overload
        def get(self, key: Text, default: Default) -> bytes | Default: ...

    def get(self, key: Text, default: object = None) -> object:
        """Returns a value, or the default."""
        found = get_shared_data(self._prefix + _bytes(key))
        return default if found is None else found[0]

    __iter__ = None  # no host call lists it

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str | bytes) and self.get(key) is not None

    def __setitem__(self, key: Text, value: Text) -> None:
        """Writes a value, whatever another worker wrote."""
        set_shared_data(self._prefix + _bytes(key), value)

    def setdefault(self, key: Text, default: Text) -> bytes:
        """Returns a value; if there is none, the default is written, by one worker alone."""
        return self.update(key, lambda value: default if value is None else value)

    def update(self, key: Text, function: Callable[[bytes | None], Text]) -> bytes:
        """Replaces a value by what a function makes of it, and returns that; no worker's change is lost.

        The function is called with None if there is no value, and once more if another worker was faster. CasMismatchError: it never
        was the first, in a thousand tries.
        """
        name = self._prefix + _bytes(key)
        for left in reversed(range(TRIES)):
            value, cas = get_shared_data(name) or (None, _NOBODYS)
            changed = _bytes(function(value))
            if changed == value:
                return changed
            try:
                set_shared_data(name, changed, cas)
            except CasMismatchError:
                if not left:
                    raise
            else:
                return changed
        raise AssertionError  # there is a last try

    def add(self, key: Text, offset: int = 1) -> int:
        """Adds to a number, which is 0 at first, and returns the sum: 8 bytes, the lowest first, with a sign."""

        def added(value: bytes | None) -> bytes:
            return (int.from_bytes(value or b"", "little", signed=True) + offset).to_bytes(8, "little", signed=True)

        return int.from_bytes(self.update(key, added), "little", signed=True)

    def __repr__(self) -> str:
        return f"SharedDict({self._prefix!r})"


class Queue:
    """A queue that VMs share: made by a name in `on_configure`, read in `on_queue_ready`.

    The plugin that makes it is told of entries; `find` is for others, which only put some in.
    """

    __slots__ = ("number",)

    def __init__(self, name: Text) -> None:
        self.number = register_shared_queue(name)

    @classmethod
    def find(cls, name: Text, vm_id: Text = b"") -> Queue | None:
        """Returns a queue that another plugin made, in this VM or in one with another id; None if nobody did."""
        number = resolve_shared_queue(vm_id, name)
        if number is None:
            return None
        found = cls.__new__(cls)
        found.number = number
        return found

    def put(self, entry: Text) -> None:
        """Puts an entry in, behind all others."""
        enqueue_shared_queue(self.number, entry)

    def take(self) -> bytes | None:
        """Takes the first entry out; None if there is none."""
        return dequeue_shared_queue(self.number)

    def __iter__(self) -> Iterator[bytes]:
        """Takes all entries out, one after the other. Another worker may take some of them."""
        while (entry := self.take()) is not None:
            yield entry

    def __eq__(self, other: object) -> bool:
        """Tells whether it is the queue of a number, such as `on_queue_ready` is called with."""
        return self.number == (other.number if isinstance(other, Queue) else other)

    def __hash__(self) -> int:
        return hash(self.number)


def _bytes(text: Text) -> bytes:
    return text.encode() if isinstance(text, str) else text
