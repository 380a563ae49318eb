"""One Envoy with every variant, for all the benchmarks of a file: `BENCH_ROUNDS` says how long they measure, `BENCH_MODULES` what else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import load, proxy
from bench.variants import VARIANTS, another

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "60"))
CHOSEN = [*VARIANTS, *(another(given, Path()) for given in os.environ.get("BENCH_MODULES", "").splitlines())]


@dataclass
class Bench:
    """What a benchmark needs: the routers, and Envoy with a listener for each variant."""

    routers: load.Routers
    proxy: proxy.Proxy


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    work = tmp_path_factory.mktemp("proxy")
    with load.routers() as routers, proxy.run(CHOSEN, routers.ports, work) as running:
        yield Bench(routers, running)
