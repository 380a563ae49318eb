"""One Envoy with every variant, for all the benchmarks of a file: `BENCH_ROUNDS` says how long they measure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bench import load, proxy
from bench.variants import VARIANTS

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "60"))


@dataclass
class Bench:
    """What a benchmark needs: the routers, and Envoy with a listener for each variant."""

    routers: load.Routers
    proxy: proxy.Proxy


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    work = tmp_path_factory.mktemp("proxy")
    with load.routers() as routers, proxy.run(VARIANTS, routers.ports, work) as running:
        yield Bench(routers, running)
