"""The report's plots, as SVG."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from bench.measure.memory import MEGABYTE
from bench.measure.startup import fewest
from bench.reporting import Report
from bench.variants import BASELINE, FLOOR, Variant, chain

# Okabe and Ito's palette, which the colour-blind can tell apart.
_PALETTE = ("#7f7f7f", "#0072b2", "#009e73", "#e69f00", "#cc79a7", "#d55e00", "#56b4e9", "#000000", "#f0e442")
_STYLE: Any = {
    "svg.fonttype": "path",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
}


def colour(name: str, names: Sequence[str]) -> str:
    """Returns a variant's colour, the same in every plot."""
    return _PALETTE[list(names).index(name) % len(_PALETTE)]


def _svg(draw: Callable[[Axes], None], height: float) -> str:
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(6.4, height))
        draw(axes)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
        plt.close(figure)
    text = out.getvalue()
    return text[text.index("<svg") :]


def _error(bounds: Sequence[float]) -> list[list[float]]:
    return [[max(0.0, bounds[0] - bounds[1])], [max(0.0, bounds[2] - bounds[0])]]


def cdf(report: Report) -> str:
    """The share of connections that were set up within a time."""
    found, names = report["latency"], list(report["variants"])

    def draw(axes: Axes) -> None:
        shown = [(share, index) for index, share in enumerate(found["quantiles"]) if share <= 0.99]
        for name in found["distribution"]:
            values = [found["distribution"][name][index] for _, index in shown]
            axes.plot(values, [share * 100 for share, _ in shown], label=name, color=colour(name, names), linewidth=1.8)
        axes.set(
            xlabel="connect to first byte, µs (log scale)",
            ylabel="% of connections within",
            xscale="log",
            ylim=(0, 100),
        )
        _plain_ticks(axes)
        _legend_above(axes)

    return _svg(draw, 4.2)


def tail(report: Report) -> str:
    """The slowest connections: the share that took longer than a time."""
    found, names = report["latency"], list(report["variants"])

    def draw(axes: Axes) -> None:
        shown = [(1 - share, index) for index, share in enumerate(found["quantiles"]) if share >= 0.5]
        # A share that fewer than ten connections stand for is chance.
        shown = [(share, index) for share, index in shown if share * found["rounds"] >= 10]
        for name in found["distribution"]:
            values = [found["distribution"][name][index] for _, index in shown]
            axes.plot(values, [share * 100 for share, _ in shown], label=name, color=colour(name, names), linewidth=1.8)
        axes.set(xlabel="connect to first byte, µs (log scale)", ylabel="% that took longer (log scale)")
        axes.set(xscale="log", yscale="log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        _plain_ticks(axes)
        _legend_above(axes)

    return _svg(draw, 4.2)


def _legend_above(axes: Axes) -> None:
    axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.45, 1.0), columnspacing=1.2)


def _plain_ticks(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if str(value)[0] in "25" else "")
    axes.tick_params(axis="x", which="minor", labelsize=9)


def ratios(report: Report) -> str:
    """Each proxied variant's median and p90 over the baseline's, with intervals."""
    found, names = report["latency"]["ratios"], list(report["variants"])
    shown = [name for name in names if name in found and name not in ("direct", BASELINE.name)]

    def draw(axes: Axes) -> None:
        for row, name in enumerate(reversed(shown)):
            _ratio_row(axes, row, found[name], colour(name, names))
        axes.axvline(1, color="#333333", linewidth=1)
        axes.set(
            yticks=range(len(shown)), yticklabels=list(reversed(shown)), xlabel="times tcp_proxy alone (95 % interval)"
        )
        axes.set_ylim(-0.5, len(shown) - 0.3)
        axes.plot([], [], "o", color="#555555", label="p50")
        axes.plot([], [], "D", color="#555555", markerfacecolor="white", label="p90")
        axes.legend(frameon=False, loc="best")
        axes.grid(axis="y", visible=False)

    return _svg(draw, 0.7 * len(shown) + 1.4)


def _ratio_row(axes: Axes, row: int, ratio: Report, drawn_in: str) -> None:
    for offset, statistic, marker, fill in ((0.15, "p50", "o", drawn_in), (-0.15, "p90", "D", "white")):
        bounds = ratio[statistic]
        style: dict[str, Any] = {"markersize": 6, "capsize": 4, "color": drawn_in, "markerfacecolor": fill}
        axes.errorbar(bounds[0], row + offset, xerr=_error(bounds), fmt=marker, **style)
    median = ratio["p50"][0]
    place = (median, row + 0.15)
    axes.annotate(f"{median:.3f}", place, xytext=(0, 7), textcoords="offset points", ha="center", fontsize=9)


def regimes(report: Report) -> str:
    """Each variant's median over the baseline's, with nothing and with something else in the worker's caches."""
    found, names = report["busy"]["regimes"], list(report["variants"])
    shown = [name for name in next(iter(found.values()))["ratios"] if name != BASELINE.name]

    def draw(axes: Axes) -> None:
        for at, one in enumerate(found.values()):
            for index, name in enumerate(shown):
                bounds = one["ratios"][name]
                x = at + (index - (len(shown) - 1) / 2) * 0.12
                style: dict[str, Any] = {"fmt": "o", "capsize": 3, "markersize": 6, "color": colour(name, names)}
                axes.errorbar(x, bounds[0], yerr=_error(bounds), label="" if at else name, **style)
            # Where the filter would be if it took no longer than the floor.
            low, high = one["ratios"][FLOOR.name][1:]
            axes.fill_between([at - 0.4, at + 0.4], low, high, color=colour(FLOOR.name, names), alpha=0.15, linewidth=0)
        axes.axhline(1, color="#333333", linewidth=1)
        axes.set(ylabel="times tcp_proxy alone", xlabel="walked over before a connection", xticks=range(len(found)))
        axes.set_xticklabels(list(found))
        axes.grid(axis="x", visible=False)
        _legend_above(axes)

    return _svg(draw, 4.2)


def components(report: Report) -> str:
    """The worker's processor time for a connection, and what it is made of."""
    found, described = report["throughput"], report["variants"]
    variants = [Variant(name, v["title"], beyond=v["beyond"], adds=v["adds"]) for name, v in described.items()]
    shown = [variant for variant in variants if variant.name in found and variant.adds]
    colours = {
        label: _PALETTE[1 + index] for index, label in enumerate(dict.fromkeys(variant.adds for variant in shown))
    }

    def draw(axes: Axes) -> None:
        for row, variant in enumerate(reversed(shown)):
            bounds = found[variant.name]["worker_us"]
            for left, width, label in _parts(variant, variants, found):
                axes.barh(row, width, left=left, height=0.6, color=colours[label])
            axes.errorbar(bounds[0], row, xerr=_error(bounds), fmt="none", capsize=4, color="#222222", linewidth=1.2)
            axes.annotate(f" {bounds[0]:.1f}", (bounds[2], row), va="center", fontsize=10)
        for label, colour_of_label in colours.items():
            axes.barh(0, 0, color=colour_of_label, label=label)
        axes.set(
            yticks=range(len(shown)),
            yticklabels=[variant.name for variant in reversed(shown)],
            xlabel="Envoy worker, processor time per connection, µs",
            xlim=(0, max(found[variant.name]["worker_us"][2] for variant in shown) * 1.12),
        )
        axes.grid(axis="y", visible=False)
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=2, fontsize=10)

    return _svg(draw, 0.55 * len(shown) + 2.0)


def _parts(variant: Variant, variants: Sequence[Variant], found: Report) -> Iterator[tuple[float, float, str]]:
    """Yields what a variant's time is made of: where each part begins, how long it is, and what it is called."""
    left = 0.0
    for part in chain(variant, variants):
        # Within the noise a thing can cost less than nothing: the bar then ends where the variant's own time does.
        until = min(found[part.name]["worker_us"][0], found[variant.name]["worker_us"][0])
        width = max(0.0, until - left)
        yield left, width, part.adds
        left += width


def open_loop(report: Report) -> str:
    """Latency at fixed rates: the median, and p99 above it."""
    names = list(report["variants"])
    rates = report["open_loop"]["rates"]
    shown = [name for name in names if name in rates[0]["values"]]

    def draw(axes: Axes) -> None:
        for index, name in enumerate(shown):
            for at, rate in enumerate(rates):
                p50, p99 = rate["values"][name]["p50"], rate["values"][name]["p99"]
                x = at + (index - (len(shown) - 1) / 2) * 0.12
                axes.plot([x, x], [p50[0], p99[0]], color=colour(name, names), linewidth=1.2)
                axes.errorbar(x, p50[0], yerr=_error(p50), fmt="o", capsize=3, color=colour(name, names), markersize=6)
                axes.plot(x, p99[0], marker="_", markersize=10, markeredgewidth=2, color=colour(name, names))
            axes.plot([], [], "o", color=colour(name, names), label=name)
        axes.set(
            yscale="log",
            ylabel="due to first byte, µs (log scale)",
            xticks=range(len(rates)),
            xticklabels=[f"{rate['share']:.0%} of the knee\n{rate['per_second']:,.0f} a second" for rate in rates],
        )
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if str(value)[0] in "25" else "")
        axes.grid(axis="x", visible=False)
        _legend_above(axes)

    return _svg(draw, 4.6)


def startup(report: Report) -> str:
    """Seconds and processor seconds until Envoy is ready."""
    found = report["startup"]
    names = list(found)
    few = fewest(found[names[0]])

    def draw(axes: Axes) -> None:
        for row, name in enumerate(reversed(names)):
            start = found[name][few]
            for offset, field, tone in ((0.19, "seconds", "#0072b2"), (-0.19, "cpu_seconds", "#e69f00")):
                axes.barh(row + offset, start[field][0], height=0.36, color=tone)
                axes.annotate(f" {start[field][0]:.2f}", (start[field][0], row + offset), va="center", fontsize=10)
        axes.barh(0, 0, color="#0072b2", label="seconds until ready")
        axes.barh(0, 0, color="#e69f00", label="processor seconds until ready")
        axes.set(yticks=range(len(names)), yticklabels=list(reversed(names)), xlabel="seconds")
        axes.margins(x=0.12)
        axes.grid(axis="y", visible=False)
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=2)

    return _svg(draw, 0.6 * len(names) + 1.4)


def memory(report: Report) -> str:
    """Resident memory over the number of workers."""
    found, names = report["startup"], list(report["variants"])

    def draw(axes: Axes) -> None:
        for name, by_workers in found.items():
            workers = sorted(int(key) for key in by_workers if key.isdigit())
            values = [by_workers[str(number)]["resident"][0] / MEGABYTE for number in workers]
            axes.plot(workers, values, marker="o", label=name, color=colour(name, names), linewidth=1.8)
        axes.set(xlabel="workers", ylabel="resident memory, MB", xticks=workers)
        axes.set_ylim(bottom=0)
        axes.margins(x=0.08)
        _legend_above(axes)

    return _svg(draw, 4.0)


PLOTS = {
    "regimes": (
        regimes,
        "Median over tcp_proxy alone, with nothing and with something else in the worker's caches; the band is the floor's interval",
    ),
    "cdf": (cdf, "Connect to first byte, the share of connections within a time, up to p99"),
    "tail": (tail, "The slowest connections: how many took longer than a time"),
    "ratio": (ratios, "Over tcp_proxy alone, with 95 % intervals"),
    "components": (components, "What a connection costs Envoy's worker, and what that is made of"),
    "open-loop": (open_loop, "At fixed rates, counted from when each connection was due: median (dot) to p99 (bar)"),
    "startup": (startup, "Until Envoy is ready, with one worker"),
    "memory": (memory, "Resident memory"),
}
