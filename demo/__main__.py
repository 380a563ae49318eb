"""Starts two routers and Envoy, connects from several sources, and shows who was routed where: `./bazelw run //:demo`."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from envoy import configuration, routers
from envoy.client import ask, has_ipv6, join, proxy_header
from envoy.process import Envoy, EnvoyError, run

ROUTERS = ["egress-router1", "egress-router2"]
SOURCES = ["127.22.0.10", "127.22.0.11", "127.22.0.12", "127.22.0.255"]
CLAIMED = ["172.22.0.10", "172.22.0.11", "203.0.113.200", "2001:db8::a", "2001:db8::f", "::ffff:198.51.100.7"]
LOG_SECONDS = 5.0


@dataclass
class Row:
    """One connection: where it came from, where it had to go, where it went."""

    how: str
    source: str
    reached: str

    @property
    def expected(self) -> str:
        """The router that the parity of the address's last byte asks for."""
        address = self.source.rpartition(":")[0].strip("[]")
        return ROUTERS[ipaddress.ip_address(address).packed[-1] % 2]


def _say(text: str) -> None:
    print(text, flush=True)


def _progress(seconds: float) -> None:
    if sys.stdout.isatty():
        print(f"\r  Envoy compiles the module ... {seconds:4.1f} s", end="", flush=True)
    elif seconds >= _progress_said[0]:
        _progress_said[0] += 2
        _say(f"  Envoy compiles the module ... {seconds:.0f} s")


_progress_said = [0.0]


def _connect(envoy: Envoy) -> list[Row]:
    rows = []
    main = envoy.listeners[configuration.MAIN]
    for source in SOURCES:
        reached, local = ask(main, source=source)
        rows.append(Row("connects", local, reached))
    if "main_ipv6" in envoy.listeners:
        reached, local = ask(envoy.listeners["main_ipv6"])
        rows.append(Row("connects", local, reached))
    else:
        _say("  (this machine has no IPv6 loopback address: the row for [::1] is left out)")
    for port, source in enumerate(CLAIMED, 40001):
        reached, _ = ask(envoy.listeners[configuration.PROXY_PROTOCOL], header=proxy_header(source, port))
        rows.append(Row("PROXY header", join(source, port), reached))
    return rows


def _access_log_lines(log: Path, rows: list[Row]) -> list[str]:
    """Returns each row's line of the access log, or "" where it did not come in time."""
    deadline = time.monotonic() + LOG_SECONDS
    while True:
        lines = log.read_text().splitlines() if log.exists() else []
        found = [next((line for line in lines if f"src={row.source} " in line), "") for row in rows]
        if all(found) or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def _table(rows: list[Row], lines: list[str]) -> bool:
    """Prints the table and tells whether every row is as it should be."""
    _say(f"\n  {'source':<30} {'by':<13} {'cluster expected':<17} {'router reached':<17} access log")
    good = True
    for row, line in zip(rows, lines, strict=True):
        right = row.reached == row.expected and line.endswith(f"({row.expected})")
        good = good and right
        mark = " " if right else "!"
        _say(
            f"{mark} {row.source:<30} {row.how:<13} {row.expected:<17} {row.reached or '(closed)':<17} {line or '(none)'}"
        )
    return good


def _serve(envoy: Envoy) -> None:
    port = envoy.listeners[configuration.MAIN][1]
    _say("\n  Envoy keeps running. In another terminal:\n")
    _say(f"    curl --interface 127.22.0.10 http://127.0.0.1:{port}/ip")
    _say(f"    curl --interface 127.22.0.11 http://127.0.0.1:{port}/ip\n")
    _say(f"  its log: tail -f {envoy.log}")
    _say("  Ctrl-C ends it.")
    envoy.process.wait()
    raise EnvoyError(f"Envoy ended with status {envoy.process.returncode}; see {envoy.log}")


def _module(given: Path) -> Path:
    if given.is_file():
        return given.absolute()
    sys.exit(f"demo: there is no module {given}; build it with ./bazelw build //filter:wasm")


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Runs the demo and returns its exit status: 0 if every connection reached its router."""
    parser = argparse.ArgumentParser(
        prog="demo", description="Routes real connections through the filter in a real Envoy."
    )
    parser.add_argument("--serve", action="store_true", help="keep running, and say what to try")
    parser.add_argument("--module", type=Path, default=Path("filter/filter.wasm"), help="the filter's core module")
    options = parser.parse_args()
    workspace = os.environ.get("BUILD_WORKING_DIRECTORY", "")
    module = _module(options.module if options.module.is_file() else Path(workspace) / options.module)
    # SIGHUP: the terminal was closed.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="proxy-wasm-demo-")))
        access_log = work / "access.log"
        _say(f"  routers: {' and '.join(ROUTERS)}, on free ports of 127.0.0.1")
        ports = stack.enter_context(routers.run(ROUTERS))
        configured = configuration.for_loopback(module, ports, access_log)
        if has_ipv6():
            configuration.add_ipv6(configured)
        envoy = stack.enter_context(run(configured, work, progress=_progress))
        _say("\n  Envoy is ready" if sys.stdout.isatty() else "  Envoy is ready")
        rows = _connect(envoy)
        good = _table(rows, _access_log_lines(access_log, rows))
        _say("\n  the filter's own log:")
        for line in envoy.log_lines("[TCP WASM]")[-2:]:
            _say("    " + line[line.index("[TCP WASM]") :])
        _say(f"\n  {'every connection reached its router' if good else 'MISROUTED: see the lines marked !'}")
        if options.serve and good:
            _serve(envoy)
        return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\ndemo: ended, nothing left running")
    except (EnvoyError, routers.RouterError, OSError) as error:
        sys.exit(f"demo: {error}")
