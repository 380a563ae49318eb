"""`proxy-wasm run`: an Envoy with the filter, its log, and the filter anew when a file changes."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from command import building, docker, proxy, purpose, terminal
from command.log import Follower, Line
from command.project import Project, find
from envoy.process import Envoy
from toolchain.tier.build import Learned
from toolchain.tools import ToolchainError

_POLL_SECONDS = 0.1
_RELOADS = "a saved file is loaded anew (built for a look: it is not trained again); Ctrl-C ends"
_COLOURS = {"error": "red", "critical": "red", "warning": "yellow", "warn": "yellow", "debug": "bright_black"}


@dataclass(frozen=True)
class Wishes:
    """How the filter is to be run."""

    reload: bool = True
    """Whether a changed file is loaded."""

    proxy_protocol: bool = False
    """Whether connections may begin with a PROXY header."""

    image: str | None = None
    """The image of an Envoy in Docker; without one it is this machine's."""


def run(project: Project, wishes: Wishes) -> None:
    """Runs until it is interrupted; raises `ToolchainError` if the filter does not build, or Envoy does not take it."""
    with tempfile.TemporaryDirectory(prefix="proxy-wasm-") as scratch:
        work = Path(scratch)
        program = docker.program(wishes.image, work) if wishes.image else proxy.find_envoy()
        served = proxy.Served(project, work, proxy_protocol=wishes.proxy_protocol)
        proxy.expect_free_ports(project)
        watch = proxy.Watch(project)
        built = _built(project)
        served.publish(built.module)
        _warn([text for way in served.ways() for text in purpose.unheard(built.callbacks, way.listener, way.http)])
        over = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: over.set())
        with proxy.running(served, work, program) as envoy:
            follower = Follower(envoy.log, _shower())
            follower.start()
            _say_ways(served, envoy, wishes.proxy_protocol)
            click.echo(_RELOADS if wishes.reload else "Ctrl-C ends")
            while not over.wait(_POLL_SECONDS) and envoy.process.poll() is None:
                if wishes.reload and (changed := watch.changed()):
                    _reload(project, served, envoy, changed, built.learned)
            follower.stop()
            if not over.is_set():
                raise ToolchainError(f"Envoy ended with status {envoy.process.returncode}; its last lines stand above")


def _built(project: Project, learned: Learned | None = None) -> building.Built:
    """Builds with a training, or without one and by what an earlier one taught."""
    started = time.monotonic()
    if learned is None:
        click.echo(f"building {project.name} ...")
        with terminal.Progress() as progress:
            built = building.build(project, progress)
    else:
        built = building.build_quickly(project, learned)
    _warn(built.warnings)
    click.echo(f"built in {time.monotonic() - started:.1f} s")
    return built


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {warning}", err=True)


def _reload(project: Project, served: proxy.Served, envoy: Envoy, changed: list[Path], learned: Learned) -> None:
    names = ", ".join(sorted({path.name for path in changed}))
    if project.envoy in changed:
        click.secho(f"{names} has changed: start `proxy-wasm run` again for Envoy's own configuration", fg="yellow")
        return
    started = time.monotonic()
    click.echo(f"{names} changed")
    try:
        again = project if project.plugin else _as_it_is_now(project)
        served.publish(_built(again, learned).module)
        served.wait(envoy)
    except ToolchainError as error:
        click.secho(f"error: {error}\nwhat was loaded before goes on", fg="red", err=True)
        return
    click.echo(f"loaded anew after {time.monotonic() - started:.1f} s")


def _as_it_is_now(project: Project) -> Project:
    """Returns what its pyproject.toml says now, with what the command line said instead of it."""
    return replace(find(project.directory), configuration=project.configuration, envoy=project.envoy)


def _say_ways(served: proxy.Served, envoy: Envoy, proxy_protocol: bool) -> None:
    click.echo("Envoy is ready. Try, in another terminal:")
    for way in served.ways():
        host, port = envoy.listeners[way.listener]
        host = "127.0.0.1" if host == "0.0.0.0" else host
        click.secho(f"    curl http://{f'[{host}]' if ':' in host else host}:{port}/", bold=True)
        if not way.http:
            click.secho(f"    nc {host} {port}", bold=True)
        if proxy_protocol:
            click.secho(f"    proxy-wasm connect {host}:{port} --source 172.22.0.10", bold=True)


def _shower() -> Callable[[Line], None]:
    """Returns what shows a line in another thread too, where click does not know by itself whether colours are wanted."""
    context = click.get_current_context()

    def show(line: Line) -> None:
        with context.scope(cleanup=False):
            _show(line)

    return show


def _show(line: Line) -> None:
    if not line.time:
        click.secho(line.text, fg="bright_black")
    elif line.from_filter:
        click.secho(f"{line.time} {line.level:5} {line.text}", fg=_COLOURS.get(line.level))
    else:
        click.secho(f"{line.time} envoy: {line.text}", fg=_COLOURS.get(line.level))
