"""The network is made where no other process sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mesh import namespaces

MAKES_ONE = """
from tests.mesh.namespaces import Namespace, isolate
isolate()
Namespace("unseen")
print(open("/run/netns/unseen").fileno() >= 0, flush=True)
input()
"""


@pytest.mark.usefixtures("mesh")
def test_a_namespace_has_a_name_in_its_own_process_alone() -> None:
    command = [sys.executable, "-S", "-c", MAKES_ONE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        for other in ("self", "1"):
            assert "unseen" not in Path("/proc", other, "mountinfo").read_text()
        process.kill()


def test_it_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(namespaces, "ROOTS_PATH", "/nowhere")
    with pytest.raises(namespaces.NetworkError, match="there is no ip: tools/debian-install iproute2"):
        namespaces.isolate()
