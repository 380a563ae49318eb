"""What the command reads in a project's `envoy.yaml`, of which Envoy itself takes more than is written usually."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from command import new, project, proxy


@pytest.fixture
def hello(tmp_path: Path) -> project.Project:
    """A new project."""
    new.make(tmp_path / "hello", "tcp")
    return project.find(tmp_path / "hello")


def test_listeners_need_no_name(hello: project.Project, tmp_path: Path) -> None:
    whole = yaml.safe_load(hello.envoy.read_text())
    for listener in whole["static_resources"]["listeners"]:
        del listener["name"]
    hello.envoy.write_text(yaml.safe_dump(whole))
    served = proxy.Served(hello, tmp_path)
    served.publish(b"")
    assert [(way.listener, way.http) for way in served.ways()] == [("listener 0", False)]


@pytest.mark.parametrize("address", [None, 3, []])
def test_what_is_no_address_is_left_to_envoy(hello: project.Project, address: object) -> None:
    whole = yaml.safe_load(hello.envoy.read_text())
    for listener in whole["static_resources"]["listeners"]:
        listener["address"]["socket_address"]["address"] = address
    whole["admin"]["address"]["socket_address"]["port_value"] = 0
    hello.envoy.write_text(yaml.safe_dump(whole))
    proxy.expect_free_ports(hello)
