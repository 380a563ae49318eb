"""What the filter does all day: the build runs it, and compiles of CPython what it takes. The rest is interpreted."""

from __future__ import annotations

from proxy_wasm import LogLevel
from proxy_wasm.testing import training

_UNREADABLE = (None, "", "/run/envoy.sock", "999.1.1.1:80", "[::1")


def train(module: bytes) -> list[bytes]:
    """Starts the filter in both configurations, with its log on and off, and has connections of every kind."""
    vm = training.start(module)
    vm.host.foreign_functions[b"set_envoy_filter_state"] = lambda argument: b""
    vm.start(b"", b"standalone", b"envoy_tcp_routing_filter")
    for level in (LogLevel.INFO, LogLevel.ERROR):
        vm.host.log_level = level
        for configuration in (b"standalone", b"istio"):
            vm.configure(configuration)
            for source in (*training.SOURCES, *_UNREADABLE):
                connection = vm.connection({b"destination\0port": (443).to_bytes(8, "little")}, source)
                connection.new_connection()
                connection.close()
            training.open_many(vm, training.SOURCES)
    return [vm.memory]
