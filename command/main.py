"""The command line: what each command takes, and how it tells what it does."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from command import interrupted, terminal
from toolchain.tools import ToolchainError

if TYPE_CHECKING:
    from command.project import Project

# Each command imports what it needs itself: `--help` and `--version` should answer at once.

_PATH = click.Path(path_type=Path)
_CHECK, _CROSS, _MISSING = "ok", "!!", "--"
_REQUEST = r"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"


class _Command(click.Group):
    """Turns what a user can mend into its text and exit status 1, and lists the commands in the order in which they are used.

    Any other exception is a fault of this program, and keeps its traceback.
    """

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)

    def main(self, *arguments: Any, **options: Any) -> Any:
        interrupted.raise_on_sigterm()
        if terminal.is_plain():
            options["color"] = False
        try:
            return super().main(*arguments, **options)
        except ToolchainError as error:
            terminal.fail(error)
        except OSError as error:
            terminal.fail(terminal.told(error))
        sys.exit(1)


@click.group(cls=_Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="proxy-wasm", prog_name="proxy-wasm")
def main() -> None:
    """Proxy-Wasm filters in Python: write, test, build and run them.

    Start with `proxy-wasm new hello`, then `cd hello`, `proxy-wasm test` and `proxy-wasm run`.
    """


@main.command(short_help="Make a folder with a filter and its tests.")
@click.argument("directory", metavar="NAME", type=_PATH)
@click.option("--tcp", is_flag=True, help="A filter of TCP connections (the default).")
@click.option("--http", is_flag=True, help="A filter of HTTP requests.")
def new(directory: Path, tcp: bool, http: bool) -> None:
    """Make the folder NAME with a filter, its tests and Envoy's configuration.

    The tests pass, and `proxy-wasm run` in the folder shows the filter in Envoy.
    """
    from command import new as making

    for path in making.make(directory, _kind(tcp, http) or "tcp"):
        click.echo(f"  {path}")
    click.echo(f"\nNow: cd {directory} && proxy-wasm test && proxy-wasm run")


@main.command()
@click.argument("plugin", required=False, type=_PATH)
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    type=_PATH,
    help="Where to write the module.  [default: build/NAME.wasm in the project's folder, or in PLUGIN's]",
)
@click.option(
    "--report", metavar="FILE", type=_PATH, help="Write what weighs how much: a picture for FILE.html, else a text."
)
@click.option(
    "--record", metavar="FILE", type=_PATH, help="Write of what it was built, as JSON: packages, versions, digests."
)
@click.option("--locked", is_flag=True, help="Refuse packages that are not in the requirements file with their hashes.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors.")
def build(
    plugin: Path | None, out: Path | None, report: Path | None, record: Path | None, locked: bool, quiet: bool
) -> None:
    """Build the filter as one .wasm for Envoy.

    The filter is that of the project around this folder. With PLUGIN it is a file of Python or a package's folder, which need no project.
    """
    from command import building, outputs

    project, progress = _project(plugin), terminal.Progress(quiet)
    out = out or project.out
    for path in (out, report, record):
        if path:
            outputs.expect_writable(path, made=project.out.parent)
    with progress:
        built = building.build(project, progress, locked, reported=report is not None)
    terminal.warn(built.warnings)
    outputs.write(out, built.module)
    if report:
        outputs.write(report, (built.picture if report.suffix == ".html" else built.report).encode())
    if record:
        outputs.write(record, built.record.encode())
    if not quiet:
        click.echo(f"{out}: {len(built.module) / 1e6:.2f} MB, {progress.seconds:.1f} s")


@main.command()
@click.argument("plugin", required=False, type=_PATH)
@click.option("--strict", is_flag=True, help="End with status 1 if there is a warning, for CI.")
def check(plugin: Path | None, strict: bool) -> None:
    """Tell, without a build, what will not work in a proxy.

    The filter is imported as in a build: unknown callbacks, imports that fail or will fail, packages that do not fit. Its sources are
    looked through for files, sockets, threads and processes, which a proxy does not have.
    """
    from command import building

    project = _project(plugin)
    with terminal.Progress() as progress:
        warnings = building.check(project, progress)
    terminal.warn(warnings)
    found = f"{len(warnings)} warning{'s' * (len(warnings) > 1)}" if warnings else "nothing is wrong that can be seen"
    click.echo(f"{project.filter}: {found}")
    sys.exit(1 if strict and warnings else 0)


@main.command(context_settings={"ignore_unknown_options": True}, short_help="Run the project's tests with pytest.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Run the project's tests with pytest, which takes the ARGUMENTS: `proxy-wasm test -k hello` runs those by that name.

    Tests have the fixtures `vm` (the filter in this process), `wasm_vm` (the built module) and `envoy` (a real Envoy). With --wasm, `vm`
    is the built module too. With --envoy it is a real Envoy, and a test that asks for what Envoy does not show is skipped.
    With --module FILE all of them take that module instead of building one. `pytest --help` has pytest's own options.
    """
    project = _project(None)
    # A process of its own: what pytest imports is the project's.
    command = [sys.executable, "-m", "pytest", "--rootdir", str(project.directory), *arguments]
    sys.exit(interrupted.run_in_foreground(command))


@main.command(short_help="Run Envoy with the filter, anew when a file changes.")
@click.argument("plugin", required=False, type=_PATH)
@click.option("--no-reload", is_flag=True, help="Leave the filter as it is when a file changes.")
@click.option("--config", metavar="FILE", type=_PATH, help="The plugin's configuration, instead of the project's.")
@click.option("--tcp", is_flag=True, help="Take the envoy.yaml of a new TCP project, not your own.")
@click.option("--http", is_flag=True, help="Take the envoy.yaml of a new HTTP project, not your own.")
@click.option("--proxy-protocol", is_flag=True, help="Take PROXY headers, so that `connect --source` can be anybody.")
@click.option("--docker", is_flag=True, help="Run Envoy's image in Docker instead of an Envoy of this machine.")
@click.option("--image", metavar="NAME", help="Another image with a program `envoy`; it implies --docker.")
def run(
    plugin: Path | None,
    no_reload: bool,
    config: Path | None,
    tcp: bool,
    http: bool,
    proxy_protocol: bool,
    docker: bool,
    image: str | None,
) -> None:
    """Run Envoy with the filter, show what it logs, and load it anew when a file changes.

    Envoy is configured by the project's envoy.yaml, and Ctrl-C ends it. Open connections are kept when the filter is loaded anew.
    """
    from command import docker as in_docker
    from command import new, running

    kind, project = _kind(tcp, http), _project(plugin)
    project = replace(project, configuration=config) if config else project
    project = replace(project, envoy=new.envoy(kind)) if kind else project
    image = image or (in_docker.IMAGE if docker else None)
    running.run(project, running.Wishes(not no_reload, proxy_protocol, image))


@main.command(short_help="Connect to Envoy as from another address.")
@click.argument("target", metavar="ADDRESS:PORT")
@click.option("--source", required=True, metavar="ADDRESS[:PORT]", help="From where the connection is said to come.")
@click.option("--data", metavar="TEXT", default=_REQUEST, show_default=True, help="What to send.")
def connect(target: str, source: str, data: str) -> None:
    """Connect to Envoy as from another address, send something and show the answer.

    A PROXY header says the address: start `proxy-wasm run --proxy-protocol`, which takes such headers.
    """
    from command import connecting

    try:
        sent = data.encode().decode("unicode_escape").encode("latin-1")
    except UnicodeError as error:
        raise ToolchainError(f"--data has an escape that means no byte: {error}; write \\\\ for a backslash") from None
    for received in connecting.connect(target, source, sent):
        click.echo(received, nl=False)
    click.echo("(the connection is closed)", err=True)


@main.command()
@click.argument("module", type=_PATH)
def verify(module: Path) -> None:
    """Check that MODULE is what a proxy can load, and nothing more."""
    from command import inspecting

    click.echo(f"{module}: {inspecting.verified(module)}")


@main.command(short_help="Show what a module is, and what it was made of.")
@click.argument("module", type=_PATH)
def inspect(module: Path) -> None:
    """Show what MODULE is: digest, size, memory, Python, SDK, Envoys, callbacks, exports, host calls."""
    from command import inspecting

    _table(inspecting.facts(module))


_VARIANT = click.option(
    "--oci",
    "variant",
    flag_value="oci",
    help="The variant that Envoy itself can fetch: a layer is the module as it is.",
)


@main.command(short_help="Write a module as an OCI image.")
@click.argument("module", type=_PATH)
@click.option("-o", "--out", metavar="FOLDER", type=_PATH, help="The folder to make.  [default: MODULE.image]")
@_VARIANT
def image(module: Path, out: Path | None, variant: str | None) -> None:
    """Write MODULE as an OCI image: a folder for Istio, Envoy Gateway, and Kubernetes' image volumes.

    The same module is the same image, byte for byte. A folder with something else in it is left alone.
    `skopeo copy oci:FOLDER docker://REFERENCE` copies the image, as `proxy-wasm push` does.
    """
    from command import images

    out = out or module.with_suffix(".image")
    click.echo(f"{out}: {images.write(module, out, variant or 'compat')}")


@main.command(short_help="Push a module as an OCI image to a registry.")
@click.argument("module", metavar="MODULE|FOLDER", type=_PATH)
@click.argument("reference")
@_VARIANT
@click.option("--plain-http", is_flag=True, help="Do without TLS; so it is by default with a registry on this machine.")
def push(module: Path, reference: str, variant: str | None, plain_http: bool) -> None:
    """Push MODULE as an OCI image to REFERENCE, such as registry.example.com/filter:1.0.

    Instead of a module it may be the FOLDER that `proxy-wasm image` wrote, with whatever variant that is.
    `docker login` or `skopeo login` says beforehand who you are.
    """
    from command import images

    digest = images.push(module, reference, variant, plain_http)
    click.echo(f"{reference.removeprefix('oci://')}@{digest}")


@main.command()
def doctor() -> None:
    """Show what is installed here, and what is wrong or missing.

    What is marked with !! is wrong, and the exit status is 1 then. What is marked with -- is missing, and only some commands need it.
    """
    from command import inspecting

    wrong = False
    for found in inspecting.health():
        missing = click.style(_MISSING, fg="yellow") if not found.needed else click.style(_CROSS, fg="red", bold=True)
        click.echo(f" {click.style(_CHECK, fg='green') if found.good else missing}  {found.what:12} {found.text}")
        wrong = wrong or (not found.good and found.needed)
    sys.exit(1 if wrong else 0)


@main.command(short_help="Print what lets a shell complete these commands.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what lets SHELL complete the commands and their options.

    For bash, put this line into ~/.bashrc: eval "$(proxy-wasm completion bash)"
    For zsh, put the same with zsh into ~/.zshrc, after compinit. For fish, run: proxy-wasm completion fish | source
    """
    from click.shell_completion import get_completion_class

    completes = get_completion_class(shell)
    assert completes
    click.echo(completes(main, {}, "proxy-wasm", "_PROXY_WASM_COMPLETE").source())


def _kind(tcp: bool, http: bool) -> str | None:
    if tcp and http:
        raise click.UsageError("--tcp and --http are for one kind of filter each: give one of them")
    return "tcp" if tcp else "http" if http else None


def _project(plugin: Path | None) -> Project:
    from command import project

    return project.of_file(plugin) if plugin else project.find(Path.cwd())


def _table(rows: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        click.echo(f"{name:{width}}  {text}")
