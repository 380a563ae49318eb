"""What a proxy does behind the host calls, kept in Python values that a test can set and read.

A method for each host call, with the table's name, takes and returns Python values; a status other than OK is raised as
HostStatus. How the values travel (Python arguments, or a module's memory) is the business of the two runners.
"""

# ruff: noqa: D102 -- the ABI says what each host call does

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable
from itertools import count

from proxy_wasm.testing import foreign
from proxy_wasm.testing.failures import Failures
from proxy_wasm.testing.header_maps import parse_header_map
from proxy_wasm.testing.http import HttpCalls
from proxy_wasm.testing.records import (
    COUNTER,
    DOWNSTREAM,
    DOWNSTREAM_DATA,
    FOREIGN_FUNCTION_ARGUMENTS,
    GAUGE,
    GRPC_MESSAGE,
    HISTOGRAM,
    HTTP_CALL_RESPONSE_BODY,
    PLUGIN_CONFIGURATION,
    REQUEST_BODY,
    RESPONSE_BODY,
    STEP,
    UPSTREAM,
    UPSTREAM_DATA,
    VM_CONFIGURATION,
    Context,
    HostStatus,
    HttpCall,
    Metric,
)

_OF_STREAM = (REQUEST_BODY, RESPONSE_BODY, DOWNSTREAM_DATA, UPSTREAM_DATA)


class Host(HttpCalls):
    """A proxy for tests: set what the filter shall find, then read what it did."""

    def __init__(self) -> None:
        super().__init__()
        self.log_level = 0
        self.logs: list[tuple[int, str]] = []
        self.failures = Failures()
        self.echo = False
        self.now = 1_700_000_000_000_000_000
        self.clock_step = 0
        self.random: Callable[[int], bytes] = os.urandom
        self.properties: dict[bytes, bytes] = {}
        self.contexts: dict[int, Context] = {}
        self.context_id = 0
        self.effective_context_id = 0
        self.vm_configuration = b""
        self.pending_done: set[int] = set()
        self.after_call: list[Callable[[], object]] = []
        self.foreign_functions: dict[bytes, Callable[[bytes], bytes]] = foreign.functions(self)
        self.expressions: dict[str, bytes | Callable[[], bytes]] = {}
        self.declared: set[object] = set()
        self.foreign_calls: list[tuple[int, bytes, bytes]] = []
        self.shared_data: dict[bytes, tuple[bytes, int]] = {}
        self.queues: dict[int, deque[bytes]] = {}
        self.queue_names: dict[tuple[bytes, bytes], int] = {}
        self.vm_id = b""
        self.metrics: dict[int, Metric] = {}
        self.tick_periods: dict[int, int] = {}
        self._ticks_at: dict[int, int] = {}
        self.http_calls: dict[int, HttpCall] = {}
        self.cas = count(1)

    @property
    def context(self) -> Context:
        """The context that the current callback, or `set_effective_context` within it, speaks for."""
        # A context that is gone speaks for nobody: the callback's own does.
        context = self.contexts.get(self.effective_context_id) or self.contexts.get(self.context_id)
        if context is None:
            raise HostStatus("BAD_ARGUMENT")
        return context

    @property
    def root(self) -> Context:
        """The context's root: calls are made in its name, and their answers, the clock and the end are its own."""
        context = self.context
        return self.contexts.get(context.parent_context_id, context)

    def lines(self, level: int | None = None) -> list[str]:
        """Returns the logged lines, of one level or of all."""
        return [line for at, line in self.logs if level is None or at == level]

    # ---- log

    def proxy_log(self, level: int, message: bytes) -> None:
        if level > 5:
            raise HostStatus("BAD_ARGUMENT")
        text = message.decode("utf-8", "replace")
        self.failures.read(level, text)
        if level >= self.log_level:
            self.logs.append((level, text))
            if self.echo:
                print(text, file=sys.__stderr__)

    def proxy_get_log_level(self) -> int:
        return self.log_level

    # ---- properties

    def proxy_get_property(self, path: bytes) -> bytes:
        path = path.removesuffix(b"\0")
        context: Context | None = self.context
        while context is not None:
            if path in context.properties:
                return context.properties[path]
            context = self.contexts.get(context.parent_context_id)
        if path in self.properties:
            return self.properties[path]
        # What the filter set hides no attribute of the proxy's, and is found by a name of one segment.
        if path in self.context.filter_state and b"\0" not in path:
            return self.context.filter_state[path]
        raise HostStatus("NOT_FOUND")

    def proxy_set_property(self, path: bytes, value: bytes) -> None:
        if not self.context.parent_context_id:
            raise HostStatus("NOT_FOUND")
        self.context.filter_state[path] = value

    # ---- buffers and streams

    def _buffer(self, buffer: int) -> bytes:
        if buffer > FOREIGN_FUNCTION_ARGUMENTS:
            raise HostStatus("BAD_ARGUMENT")
        if buffer == VM_CONFIGURATION:
            return self.vm_configuration
        context = self.root if buffer in (HTTP_CALL_RESPONSE_BODY, GRPC_MESSAGE) else self.context
        if buffer in (HTTP_CALL_RESPONSE_BODY, GRPC_MESSAGE, PLUGIN_CONFIGURATION) and buffer not in context.buffers:
            raise HostStatus("NOT_FOUND")
        return context.buffers.get(buffer, b"")

    def proxy_get_buffer_bytes(self, buffer: int, start: int, length: int) -> bytes:
        data = self._buffer(buffer)
        if start + length > 0xFFFFFFFF:
            raise HostStatus("BAD_ARGUMENT")
        return data[start : start + length]

    def proxy_get_buffer_status(self, buffer: int) -> tuple[int, int]:
        return len(self._buffer(buffer)), 0

    def proxy_set_buffer_bytes(self, buffer: int, start: int, length: int, value: bytes) -> None:
        data = self._buffer(buffer)
        if buffer not in _OF_STREAM or buffer not in self.context.buffers:
            raise HostStatus("BAD_ARGUMENT")
        # As in Envoy: insert at the front, replace from the front, or append; nothing in the middle.
        if start == 0:
            self.context.buffers[buffer] = value + data[length:]
        elif start >= len(data):
            self.context.buffers[buffer] = data + value
        else:
            raise HostStatus("BAD_ARGUMENT")

    def proxy_continue_stream(self, stream: int) -> None:
        if stream > UPSTREAM:
            raise HostStatus("BAD_ARGUMENT")
        if stream == UPSTREAM:
            raise HostStatus("UNIMPLEMENTED")
        context = self.context
        context.continued.append(stream)
        if context.exchange is not None:
            context.exchange.go_on(stream)
        # What was held back goes on when the callback is over.
        if stream == DOWNSTREAM:
            self.after_call.append(lambda: context.buffers.pop(DOWNSTREAM_DATA, None))

    def proxy_close_stream(self, stream: int) -> None:
        if stream > UPSTREAM:
            raise HostStatus("BAD_ARGUMENT")
        context = self.context
        if context.exchange is not None:
            context.exchange.reset()
        context.closed.append(stream)

    # ---- foreign functions

    def proxy_call_foreign_function(self, name: bytes, argument: bytes) -> bytes:
        function = self.foreign_functions.get(name)
        if function is None:
            raise HostStatus("NOT_FOUND")
        self.foreign_calls.append((self.context.context_id, name, argument))
        return function(argument)

    # ---- shared data and queues

    def proxy_get_shared_data(self, key: bytes) -> tuple[bytes, int]:
        if key not in self.shared_data:
            raise HostStatus("NOT_FOUND")
        return self.shared_data[key]

    def proxy_set_shared_data(self, key: bytes, value: bytes, cas: int) -> None:
        if cas and key in self.shared_data and self.shared_data[key][1] != cas:
            raise HostStatus("CAS_MISMATCH")
        self.shared_data[key] = (value, next(self.cas))

    def proxy_register_shared_queue(self, name: bytes) -> int:
        queue = self.queue_names.setdefault((self.vm_id, name), len(self.queues) + 1)
        self.queues.setdefault(queue, deque())
        return queue

    def proxy_resolve_shared_queue(self, vm_id: bytes, name: bytes) -> int:
        found = self.queue_names.get((vm_id or self.vm_id, name))
        if found is None:
            raise HostStatus("NOT_FOUND")
        return found

    def _queue(self, queue: int) -> deque[bytes]:
        if queue not in self.queues:
            raise HostStatus("NOT_FOUND")
        return self.queues[queue]

    def proxy_dequeue_shared_queue(self, queue: int) -> bytes:
        entries = self._queue(queue)
        if not entries:
            raise HostStatus("EMPTY")
        return entries.popleft()

    def proxy_enqueue_shared_queue(self, queue: int, value: bytes) -> None:
        self._queue(queue).append(value)

    # ---- metrics

    def _metric(self, metric: int) -> Metric:
        if metric not in self.metrics:
            raise HostStatus("NOT_FOUND")
        return self.metrics[metric]

    def proxy_define_metric(self, kind: int, name: bytes) -> int:
        if kind > HISTOGRAM:
            raise HostStatus("BAD_ARGUMENT")
        metric = kind + STEP * (1 + sum(number % STEP == kind for number in self.metrics))
        # A name of that kind is one metric, whoever defines it, and however often.
        known = (found for found in self.metrics.values() if (found.kind, found.name) == (kind, name))
        self.metrics[metric] = next(known, None) or Metric(kind, name)
        return metric

    def proxy_increment_metric(self, metric: int, offset: int) -> None:
        if metric % STEP > GAUGE:
            raise HostStatus("BAD_ARGUMENT")
        found = self._metric(metric)
        if found.kind == COUNTER and offset <= 0:
            raise HostStatus("BAD_ARGUMENT")
        found.value += offset

    def proxy_record_metric(self, metric: int, value: int) -> None:
        found = self._metric(metric)
        if found.kind == HISTOGRAM:
            found.records.append(value)
        elif found.kind == GAUGE:
            found.value = value
        else:
            found.value += value

    def proxy_get_metric(self, metric: int) -> int:
        if metric % STEP > GAUGE:
            raise HostStatus("BAD_ARGUMENT")
        return self._metric(metric).value

    # ---- time

    def proxy_set_tick_period_milliseconds(self, milliseconds: int) -> None:
        self.tick_periods[self.root.context_id] = milliseconds
        self._ticks_at[self.root.context_id] = self.now + milliseconds * 10**6

    def await_tick(self, root_id: int) -> None:
        """Lets the time pass to a root's next tick, if it has any."""
        if period := self.tick_periods.get(root_id):
            self.now = max(self.now, self._ticks_at[root_id])
            self._ticks_at[root_id] = self.now + period * 10**6

    def proxy_get_current_time_nanoseconds(self) -> int:
        return self.read_clock()

    def read_clock(self) -> int:
        """Returns the time in nanoseconds, `now`, which each reading moves on by `clock_step`."""
        now = self.now
        self.now += self.clock_step
        return now

    # ---- HTTP calls

    def proxy_http_call(
        self, cluster: bytes, headers: bytes, body: bytes, trailers: bytes, timeout_milliseconds: int
    ) -> int:
        pairs = parse_header_map(headers)
        known = self.clusters is None or cluster in self.clusters | self.empty_clusters
        if not known or not {b":method", b":path", b":authority"} <= {name for name, _ in pairs}:
            raise HostStatus("BAD_ARGUMENT")
        if cluster in self.empty_clusters:
            raise HostStatus("INTERNAL_FAILURE")
        call = STEP * self.next_call
        self.next_call += 1
        self.http_calls[call] = HttpCall(
            self.context.context_id,
            self.root.context_id,
            cluster,
            pairs,
            body,
            parse_header_map(trailers),
            timeout_milliseconds,
        )
        return call

    # ---- contexts

    def proxy_set_effective_context(self, context_id: int) -> None:
        # 0 is the VM itself: then the callback's own context is meant again.
        if context_id and context_id not in self.contexts:
            raise HostStatus("BAD_ARGUMENT")
        self.effective_context_id = context_id

    def proxy_done(self) -> None:
        root = self.root
        if root.context_id not in self.pending_done:
            raise HostStatus("NOT_FOUND")
        self.pending_done.remove(root.context_id)
        root.done += 1
