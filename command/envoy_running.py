"""Starts what `pytest --envoy` runs a test in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from command import envoy_trace, proxy, staged
from command.envoy_vm import EnvoyVm
from command.not_shown import NotShownError
from command.project import Project
from envoy import process
from envoy.discovery import Listeners
from toolchain.tools import ToolchainError


@contextlib.contextmanager
def running(project: Project, module: Path, work: Path) -> Iterator[EnvoyVm]:
    """Runs Envoy with a project's module until the end of the block; raises `ToolchainError` if it does not start.

    A project without a listener that has the filter raises `NotShownError`.
    """
    if not proxy.has_listener(project):
        raise NotShownError("vm", f"{project.envoy.name} has no listener with the filter")
    stage = staged.Stage(project, work)
    configuration = proxy.configuration(project)
    proxy.insert(stage.whole["static_resources"]["listeners"], module, configuration)
    with staged.closing(stage):
        listeners = Listeners(stage.whole, work)
        try:
            with process.run(stage.whole, work, arguments=envoy_trace.ARGUMENTS, program=proxy.find_envoy()) as envoy:
                vm = EnvoyVm(envoy, stage, listeners)
                try:
                    yield vm
                finally:
                    vm.close()
        except process.EnvoyError as error:
            raise ToolchainError(str(error)) from None
