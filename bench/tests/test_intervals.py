"""The statistics: quantiles, the bootstrap's blocks, and intervals that hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from bench.intervals import BLOCK, STATISTICS, Interval, block_indices, bootstrap, compare, interval, statistics


def test_statistics_of_known_values() -> None:
    found = dict(zip(STATISTICS, statistics(np.arange(1001.0)), strict=True))
    assert found == pytest.approx({"p50": 500, "p90": 900, "p99": 990, "p99.9": 999, "mean": 500})


def test_a_connection_without_a_reply_is_left_out() -> None:
    assert statistics(np.array([1.0, np.nan, 3.0]))[-1] == 2.0


def test_of_no_reply_at_all_nothing_is_known() -> None:
    assert np.isnan(statistics(np.array([np.nan, np.nan]))).all()


def test_blocks_are_consecutive_and_as_many_as_asked() -> None:
    drawn = block_indices(1000, np.random.default_rng(3))
    assert len(drawn) == 1000
    assert drawn.min() >= 0 and drawn.max() < 1000
    steps = np.diff(drawn) % 1000
    assert np.sum(steps != 1) <= 1000 // BLOCK


def test_the_first_row_is_drawn_as_often_as_others() -> None:
    # One that is drawn less often than it is there would have its mean outside of its interval.
    rng = np.random.default_rng(3)
    drawn = np.bincount(np.concatenate([block_indices(1000, rng) for _ in range(2000)]), minlength=1000)
    assert abs(drawn[0] / drawn.mean() - 1) < 0.2 > abs(drawn[-1] / drawn.mean() - 1)


@pytest.mark.parametrize("count", [1, 2, 9, 49])
def test_few_rows_are_drawn_one_by_one(count: int) -> None:
    drawn = block_indices(count, np.random.default_rng(3))
    assert len(drawn) == count and drawn.max() < count


def test_the_same_seed_gives_the_same_interval() -> None:
    table = np.random.default_rng(1).lognormal(size=(400, 2))
    assert compare(table, 0, resamples=50) == compare(table, 0, resamples=50)
    assert compare(table, 0, resamples=50) != compare(table, 0, resamples=50, seed=2)


def test_a_variant_over_itself_is_one_without_doubt() -> None:
    column = np.random.default_rng(1).lognormal(size=500)
    found = compare(np.stack([column, column, 2 * column], 1), 0, resamples=100)
    assert found.ratios[1]["p99"] == Interval(1, 1, 1)
    assert found.ratios[2]["p50"] == Interval(2, 2, 2)


def test_what_disturbs_a_whole_round_cancels_out_of_the_ratio() -> None:
    rng = np.random.default_rng(5)
    # Bursts of noise that make every connection of a round ten times slower.
    disturbed = np.repeat(rng.choice([1.0, 10.0], size=40, p=[0.7, 0.3]), 50)
    table = np.stack([disturbed * rng.normal(100, 1, 2000), disturbed * rng.normal(110, 1, 2000)], 1)
    ratio = compare(table, 0, resamples=200).ratios[1]["p50"]
    assert ratio.value == pytest.approx(1.1, abs=0.005)
    assert ratio.high - ratio.low < 0.01


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    held = 0
    for experiment in range(200):
        table = np.stack([rng.lognormal(0, 0.3, 300), 1.2 * rng.lognormal(0, 0.3, 300)], 1)
        ratio = compare(table, 0, resamples=150, seed=experiment).ratios[1]["p50"]
        held += ratio.low <= 1.2 <= ratio.high
    # 95 % of 200, less what chance and few resamples take.
    assert held >= 176, f"{held} of 200"


def test_noise_that_comes_in_bursts_widens_the_interval() -> None:
    rng = np.random.default_rng(9)
    bursts = np.repeat(rng.normal(100, 10, 40), 50)[:, None]
    shuffled = rng.permutation(bursts)

    def width(table: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
        drawn = bootstrap(table, lambda column: np.mean(column, keepdims=True), 300)
        found = interval(float(table.mean()), drawn)
        return found.high - found.low

    assert width(bursts) > 3 * width(shuffled)
