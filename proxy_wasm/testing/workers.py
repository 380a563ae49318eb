"""The workers of one Envoy: `with Workers(Plugin, 2) as workers: ...`. Each has a VM, and they share what Envoy's share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import overload

from proxy_wasm._contexts import RootContext
from proxy_wasm.testing.boundary import BOUNDARY
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.lifecycle import Vm

_SHARED = ("shared_data", "queues", "queue_names", "metrics", "cas", "told")
_APART = 1_000_000


class _Host(Host):
    """The host of one worker."""

    vm: Vm

    def __init__(self, first: _Host | None) -> None:
        super().__init__()
        self.told: dict[int, tuple[_Host, int]] = {}
        """Who is told of a queue's entries: a worker's host, and the root context there."""

        for name in _SHARED if first else ():
            setattr(self, name, getattr(first, name))

    def proxy_register_shared_queue(self, name: bytes) -> int:
        queue = super().proxy_register_shared_queue(name)
        # As in Envoy: a queue has one owner, and that is who registered it last.
        self.told[queue] = self, self.root.context_id
        return queue

    def proxy_enqueue_shared_queue(self, queue: int, value: bytes) -> None:
        super().proxy_enqueue_shared_queue(queue, value)
        owner, root_id = self.told[queue]
        self.after_call.append(lambda: owner.tell(root_id, queue))

    def tell(self, root_id: int, queue: int) -> None:
        if root_id in self.contexts:
            self.vm.call("proxy_on_queue_ready", root_id, queue)


class _InProcessWorker(Vm):
    """A worker whose guest is this interpreter, as that of the other workers is."""

    def __init__(self, guest: InProcess, host: Host, number: int) -> None:
        super().__init__(host)
        self._guest = guest
        # The guest is one: no two workers may give the same number to a context or a call.
        self._next_context_id += number * _APART
        host.next_call += number * _APART

    def _call(self, callback: str, *arguments: int) -> int | None:
        before, BOUNDARY.host = BOUNDARY.host, self.host
        try:
            return self._guest._call(callback, *arguments)
        finally:
            BOUNDARY.host = before


class Workers(Sequence[Vm]):
    """The VMs of one plugin in several workers, which share data, queues and metrics.

    `guest` is the root's class, or a function that makes a VM over a host, such as `lambda host: WasmModule(path, host)`. Roots that are
    in this process share the globals of their Python modules, which VMs in Envoy do not.
    """

    def __init__(self, guest: type[RootContext] | Callable[[Host], Vm], count: int = 2) -> None:
        if count < 1:
            raise ValueError(f"there must be at least 1 worker, not {count}")
        self._guest = guest
        self._count = count
        self._vms: list[Vm] = []
        self._undo = ExitStack()

    def __enter__(self) -> Workers:
        first = _Host(None)
        hosts = [first, *(_Host(first) for _ in range(self._count - 1))]
        if isinstance(self._guest, type):
            guest = self._undo.enter_context(InProcess(self._guest, first))
            made: list[Vm] = [_InProcessWorker(guest, host, number) for number, host in enumerate(hosts)]
        else:
            made = [self._guest(host) for host in hosts]
        for host, vm in zip(hosts, made, strict=True):
            host.vm = vm
        self._vms = made
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._vms = []
        self._undo.close()

    def start(self, vm_configuration: bytes = b"", configuration: bytes = b"", root_id: bytes = b"") -> bool:
        """Starts and configures the plugin in one worker after the other; tells whether all accepted."""
        accepted = [vm.start(vm_configuration, configuration, root_id) for vm in self]
        return all(accepted)

    @overload
    def __getitem__(self, index: int) -> Vm: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Vm]: ...
    def __getitem__(self, index: int | slice) -> Vm | Sequence[Vm]:
        return self._vms[index]

    def __len__(self) -> int:
        return len(self._vms)
