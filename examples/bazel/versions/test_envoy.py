"""The built module in a real Envoy, with envoy.yaml as it is but for the port."""

import contextlib
import http.client
from pathlib import Path

from envoy import process


def status(port: int, version: str) -> int:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        client.request("GET", "/", headers={"x-client-version": version})
        return client.getresponse().status


def test_old_clients_are_turned_away(tmp_path: Path) -> None:
    configuration = Path("versions/envoy.yaml").read_text().replace("bazel-bin/", "").replace("10000", "0")
    with process.run(configuration, tmp_path) as envoy:
        _, port = envoy.listeners["main"]
        assert [status(port, version) for version in ("2.1", "2.10rc1", "2.0.9", "new")] == [200, 200, 426, 426]
