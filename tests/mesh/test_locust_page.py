"""Locust's web page, driven in Chromium: a person starts the load there, and sees each parity reach its router."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from envoy.waiting import wait_for
from tests.manifests.rendering import copied, of_kind, render
from tests.mesh import browser, locust_page, namespaces, network
from tests.mesh.browser import Browser

MODULE = Path(os.environ.get("FILTER_WASM", "filter/filter.wasm")).absolute()
EXPECTED = {"baseline even", "baseline odd", "wasm even", "wasm odd"}
WAIT_SECONDS = 120.0


@dataclass
class Page:
    """The master's page in a browser, and where logs and pictures are."""

    browser: Browser
    work: Path

    def shows(self, *texts: str) -> bool:
        """Waits until the page shows all of these texts, whatever their case."""
        return wait_for(lambda: all(t.lower() in self.browser.text().lower() for t in texts), WAIT_SECONDS, pause=0.5)

    def requests(self) -> dict[str, tuple[int, int]]:
        """Returns the statistics of the table: requests and failures by name."""
        found = (row for row in self.browser.rows() if len(row) > 3 and row[1] in EXPECTED)
        return {row[1]: (int(row[2]), int(row[3])) for row in found}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if reason := browser.missing():
        pytest.fail(reason)  # a proof that skips proves nothing
    try:
        namespaces.isolate()
    except namespaces.NetworkError as error:
        pytest.fail(str(error))
    resources = render(copied(tmp_path_factory.mktemp("manifests")) / "load")
    (configuration,) = (r["data"]["envoy.yaml"] for r in of_kind(resources, "ConfigMap") if "envoy.yaml" in r["data"])
    load = locust_page.Load(resources, dict(os.environ))
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="page-", dir="/tmp")))
        hosts = stack.enter_context(network.up())
        text = locust_page.gateway(configuration, MODULE)
        stack.enter_context(locust_page.routers_and_gateway(hosts, text, work))
        stack.enter_context(load.run(hosts, work))
        yield Page(stack.enter_context(browser.run(hosts["internet"], work)), work)


def test_a_person_starts_the_load_on_the_page_and_reads_its_outcome(page: Page, record_property: Any) -> None:
    page.browser.open(locust_page.PAGE)
    assert page.shows("Start new load test", f"Workers\n\n{len(locust_page.WORKERS)}"), page.browser.text()
    page.browser.write("input[name=userCount]", "8")
    page.browser.write("input[name=spawnRate]", "8")
    page.browser.press("start")
    assert page.shows("Running", *EXPECTED), page.browser.text()
    assert wait_for(lambda: all(count >= 50 for count, _ in page.requests().values()), WAIT_SECONDS, pause=0.5)
    page.browser.press("stop")
    assert page.shows("Stopped"), page.browser.text()
    if pictures := os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR"):
        page.browser.screenshot(Path(pictures, "locust.png"))
    seen = page.requests()
    assert seen.keys() == EXPECTED
    assert [failures for _, failures in seen.values()] == [0] * len(EXPECTED), page.browser.text()
    for name, (count, _) in seen.items():
        record_property(name, count)


def test_a_misroute_is_on_the_page(page: Page) -> None:
    page.browser.open(locust_page.PAGE)
    assert page.shows("New"), page.browser.text()
    page.browser.press("new")
    assert page.shows("Custom parameters"), page.browser.text()
    page.browser.press("custom parameters")
    page.browser.write("input[name=routers]", "egress-router2,egress-router1")
    page.browser.press("start")
    assert page.shows("Running", "wasm even"), page.browser.text()
    assert wait_for(lambda: all(count == failed > 0 for count, failed in page.requests().values()), WAIT_SECONDS)
    page.browser.press("stop")
