"""Some of everything in one Envoy: `./bazelw run //tests/load:product` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load import product, product_report, requests
from tests.load.product import Amounts, Came, Quiet
from tests.load.soak import Sample, Soaked

AMOUNTS = Amounts(connections=2000, held=20, requests=900, configurations=4, modules=2, traps=2)


@pytest.mark.skipif(not requests.available(), reason=f"{requests.CLIENT} is not installed")
def test_nothing_is_lost_whatever_happens(tmp_path: Path) -> None:
    came = product.run(tmp_path, AMOUNTS, lambda sample, held, came: None)
    for name, value in product_report.table(came).items():
        print(name, value)
    assert product_report.complaints(came, AMOUNTS) == []
    assert (came.configurations, came.modules, came.traps) == (4, 2, 2)
    assert came.closed < product.ASKED


def test_what_is_wrong_is_told() -> None:
    samples = [Sample(float(second), 0, (100 + 10 * (second > 50)) << 20, 0) for second in range(100)]
    soaked = Soaked(3, held_to_the_end=2, in_a_row=8, lost=1, contexts_created=9, contexts_deleted=8, samples=samples)
    wrong = dict.fromkeys(requests.PATHS, 0) | {"late": 7}
    came = Came(soaked, dict.fromkeys(requests.PATHS, 10), wrong, 200, 50, refused=1, traps=2, reloads=1)
    came.before, came.after = Quiet([1, 1], 5, 1, 0, 0), Quiet([1, 1, 1], 5, 3, 0, 0)
    assert product_report.complaints(came, Amounts(9, 3, 90, 200, 50, 2)) == [
        "late: 7 requests had a wrong answer",
        "1 connections were lost, 0 misrouted",
        "of 3 held connections 2 were there at the end",
        "9 contexts were created, 8 deleted",
        f"not all was done: (8, 200, 50, 2) of (9, 200, 50, 2), {came.requests}",
        "1 changes were refused, 1 VMs came after 2 traps",
        "2 linear memories at the start, 3 at the end",
        "contexts of requests, calls that are waited for, and callers are left: (2, 0, 0)",
        "resident memory grew, from 100.0 to 110.0 MiB",
    ]
