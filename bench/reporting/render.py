"""Writes a report's data as report.json, report.md and report.html."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.intervals import STATISTICS
from bench.measure import instructions, lines
from bench.measure.memory import MEGABYTE
from bench.measure.startup import fewest
from bench.reporting import Report, aims, busy, requests, workloads
from bench.reporting.plots import PLOTS
from bench.reporting.table import Table, bounds
from bench.variants import BASELINE, NAMED

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 72rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; border-bottom: 1px solid #ddd; padding-bottom: .2rem; }
.verdict { background: #f3f7fb; border-left: 4px solid #0072b2; padding: .6rem 1rem; }
.verdict.bad { background: #fdf0ed; border-color: #d55e00; }
.verdict p { margin: .4rem 0; max-width: 60rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem 2rem; }
figure { margin: .5rem 0; }
figcaption { font-weight: 600; font-size: .95rem; }
svg { width: 100%; height: auto; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #e5e5e5; white-space: nowrap; }
th.text, td.text { text-align: left; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
thead th { border-bottom: 2px solid #999; vertical-align: bottom; }
.note { color: #555; font-size: .92rem; max-width: 60rem; }
td .interval { color: #666; font-size: .85em; }
"""


def tables(report: Report) -> list[Table]:
    """Returns the report's tables, in order."""
    made = [
        *aims.tables(report),
        _variants(report),
        _latency(
            report["latency"],
            "Latency: connect to first byte",
            f"Microseconds, {report['latency']['rounds']:,} interleaved rounds, with 95 % intervals; ratios are to the baseline.",
        ),
        _latency(
            report["latency_log"],
            "Latency with the log on",
            f"As above, {report['latency_log']['rounds']:,} rounds, Wasm's log at level info: floor and filter log a line of the same "
            "length for each connection. Python over floor: "
            + bounds(report["latency_log"]["python_to_floor"], 3)
            + ".",
        ),
        *_rules(report),
    ]
    made += busy.tables(report)
    made += [_rate(rate) for rate in report["open_loop"]["rates"]]
    made += [
        _throughput(report),
        *_scale(report),
        *requests.tables(report),
        *_instructions(report),
        *_lines(report),
        *_guest(report),
        *workloads.tables(report),
        _startup(report),
        *_reload(report),
        *_memory(report),
        *_at_rest(report),
        *_plugins(report),
        _sizes(report),
        *_build(report),
    ]
    made.append(_machine(report))
    return made


def _variants(report: Report) -> Table:
    rows = [[name, found["title"], found["beyond"] or "", found["adds"]] for name, found in report["variants"].items()]
    note = "All but the first on listeners of their own in one Envoy. The difference to the variant before is the cost of one thing."
    return Table("What is compared", note, ["", "what it is", "goes beyond", "by"], rows, text=True)


def _latency(found: Report, title: str, note: str) -> Table:
    rows = []
    for name, values in found["values"].items():
        ratios = found["ratios"][name]
        row = [bounds(values["p50"]), *(f"{values[s][0]:,.1f}" for s in STATISTICS[1:])]
        rows.append([name, *row, bounds(ratios["p50"], 3), bounds(ratios["p99"], 2)])
    return Table(title, note, ["", *STATISTICS, "p50 ratio", "p99 ratio"], rows)


def _rules(report: Report) -> list[Table]:
    """What 256 rules make of it, of reports that have it."""
    found = report.get("latency_rules")
    if not found:
        return []
    named = NAMED.name in found["values"]
    note = (
        f"As above, {found['rounds']:,} rounds: 256 rules, of which the last {'two decide' if named else 'one decides'}. "
        f"Python with rules over floor: {bounds(found['python_to_floor'], 3)}."
    )
    if named:
        note += f" In {NAMED.name} the rules have names for the access log, which is one host call more than the floor makes."
    return [_latency(found, "Latency with 256 rules", note)]


def _rate(found: Report) -> Table:
    note = (
        f"{found['per_second']:,.0f} connections a second to one variant at a time, the same Poisson schedule for each; microseconds "
        f"from when a connection was due. The client itself was at most {found['late_p99_us']:,.0f} µs late for 99 % of them."
    )
    made = _latency(found, f"Open loop at {found['share']:.0%} of the knee", note)
    made.head.append("worker busy")
    for row in made.rows:
        row.append("" if row[0] == "direct" else f"{found['worker_busy'][row[0]]:.0%}")
    return made


def _throughput(report: Report) -> Table:
    rows = []
    for name, found in report["throughput"].items():
        proxied = name != "direct"
        rows.append(
            [
                name,
                bounds(found["worker_us"]) if proxied else "",
                bounds(found["per_second"], 0),
                f"{found['worker_busy']:.0%}" if proxied else "",
                f"{found['client_us']:.1f}",
                f"{found['routers_us']:.1f}",
            ]
        )
    note = (
        "Bursts as fast as one worker allows, 16 connections under way at a time. The worker's time is the scheduler's own accounting. "
        "Where the worker is busy all the time, it sets the pace, and neither client nor routers do. The rate that two clients at once "
        f"get from the baseline, over that of one: {bounds(report['two_clients'], 2)}."
    )
    head = ["", "worker µs per connection", "connections per second", "worker busy", "client µs", "routers µs"]
    return Table("Processor time and saturation", note, head, rows)


def _scale(report: Report) -> list[Table]:
    """Connections a second, of reports that have them for two workers too, and what a held one takes."""
    if "two_workers" not in report:
        return []
    rows = []
    for name, two in report["two_workers"].items():
        one = report["throughput"][name]
        cells = (bounds(found["per_second"], 0) for found in (one, two))
        held = f"{report['held'][name]:,.0f}" if name in report["held"] else ""
        rows.append([name, *cells, *(bounds(found["to_floor"], 3) for found in (one, two)), held])
    note = (
        "Connections a second at saturation, with one and with two workers, and their ratio to the floor's of the same round. On a "
        "machine with few processors, client and routers take what a second worker would use. The last column: bytes by which a VM's "
        f"memory grows for each of {report['effort']['held']:,} connections that are held."
    )
    head = ["", "1 worker", "2 workers", "over the floor, 1", "over the floor, 2", "bytes held"]
    return [Table("Scale", note, head, rows)]


def _instructions(report: Report) -> list[Table]:
    found = report.get("instructions")
    if not found:
        return []
    note = "WebAssembly instructions, counted by wasmtime: the same on every machine. A row is what runs until the host call that it names."
    return [Table("Instructions of a connection", note, ["", *found], instructions.table(found))]


def _lines(report: Report) -> list[Table]:
    found = report.get("lines")
    if not found:
        return []
    if "error" in found:
        return [Table("Cache lines of a connection", found["error"], ["", "not measured"], [])]
    note = (
        "Cache lines of 64 bytes that a connection touches in Envoy's worker, by code that V8 has made, and that code's machine "
        "instructions. They are counted by single steps. Envoy's own code is not counted."
    )
    return [Table("Cache lines of a connection", note, ["", *found], lines.table(found))]


def _guest(report: Report) -> list[Table]:
    made = []
    for engine, found in report["guest"].items():
        callbacks = list(dict.fromkeys(name for times in found.values() for name in times))
        rows = []
        for name, times in found.items():
            cells = [f"{times[callback][0]:,.0f}" if callback in times else "" for callback in callbacks]
            rows.append([name, *cells, f"{sum(bounds[0] for bounds in times.values()):,.0f}"])
        note = "Nanoseconds of a call, median, in a hot loop outside of Envoy; empty: the module does not export it."
        head = ["", *(name.removeprefix("proxy_on_") for name in callbacks), "sum"]
        made.append(Table(f"Guest time in {engine}", note, head, rows))
    return made


def _startup(report: Report) -> Table:
    few = fewest(report["startup"][BASELINE.name])
    rows = [
        [
            name,
            *(
                f"{value:.2f}"
                for field in ("seconds", "cpu_seconds")
                for value in (found[few][field][0], found[few][field][2])
            ),
        ]
        for name, found in report["startup"].items()
    ]
    note = "Envoy with one listener and one worker, from its start until its admin interface says that it is ready, median and worst of "
    note += f"{report['effort']['starts']}. Processor seconds are of all its threads."
    return Table("Start-up", note, ["", "seconds", "worst", "processor seconds", "worst"], rows)


def _reload(report: Report) -> list[Table]:
    """What a connection waits after a trap, of reports that have it."""
    found = report.get("reload")
    if not found:
        return []
    rows = [[name, bounds([1000 * value for value in took])] for name, took in found.items()]
    note = (
        "Milliseconds from connect to first byte for a connection that comes after a trap, median: Envoy makes it a VM of the compiled "
        f"module first. {report['effort']['traps']} traps of each."
    )
    return [Table("A new VM after a trap", note, ["", "milliseconds"], rows)]


def _memory(report: Report) -> list[Table]:
    made = []
    workers = sorted((key for key in report["startup"][BASELINE.name] if key.isdigit()), key=int)
    for field, title, note in (
        ("resident", "Resident memory", "MB (of 1,000,000 bytes), after connections on every worker, median."),
        (
            "anonymous",
            "Memory of the process's own",
            "MB that no file is behind. The last column is what each worker more took: its VM.",
        ),
    ):
        head = ["", *(f"{number} worker{'s' if number != '1' else ''}" for number in workers)]
        rows = []
        for name, found in report["startup"].items():
            rows.append([name, *(f"{found[number][field][0] / MEGABYTE:.1f}" for number in workers)])
            if field == "anonymous":
                rows[-1].append(f"{found['per_worker'] / MEGABYTE:.1f}")
        made.append(Table(title, note, [*head, "per worker"] if field == "anonymous" else head, rows))
    return made


def _at_rest(report: Report) -> list[Table]:
    """What stays of memory, of reports that have it."""
    found = report.get("at_rest")
    if not found:
        return []
    rows = [
        [name, f"{one['resident'] / MEGABYTE:.1f}", f"{one['anonymous'] / MEGABYTE:.1f}"] for name, one in found.items()
    ]
    note = (
        f"MB with one worker, {report['effort']['rest_seconds']:g} seconds after connections. By then Envoy's allocator has given back "
        "what compiling took."
    )
    return [Table("Memory at rest", note, ["", "resident MB", "own MB"], rows)]


def _plugins(report: Report) -> list[Table]:
    """What many plugins in one Envoy take, of reports that have it."""
    found = report.get("plugins")
    if not found:
        return []
    rows = []
    for one in found:
        cells = ["", "", "", "", one["error"]]
        if not one["error"]:
            sizes = (one["resident"] / MEGABYTE, one["anonymous"] / MEGABYTE)
            cells = [f"{one['seconds']:.2f}", f"{one['cpu_seconds']:.2f}", *(f"{size:,.1f}" for size in sizes)]
            cells.append("" if one["each"] is None else f"{one['each'] / MEGABYTE:.2f}")
        rows.append([one["title"], *cells])
    note = (
        "One start each, with one worker: a listener for each plugin, whose configuration has rules of its own, and connections through "
        "all of them. All have one VM if they have one `vm_id`. The last column is what a plugin takes over the first row with as many "
        "listeners, in MB of 1,000,000 bytes."
    )
    head = ["", "seconds", "processor seconds", "resident MB", "own MB", "MB for each plugin"]
    return [Table("Many plugins in one Envoy", note, head, rows)]


def _sizes(report: Report) -> Table:
    sections = list(dict.fromkeys(name for found in report["modules"].values() for name in found["sections"]))
    rows = []
    for name, found in report["modules"].items():
        cells = [f"{found['sections'].get(section, 0):,}" for section in sections]
        rows.append(
            [
                name,
                f"{found['total']:,}",
                f"{found['deflated']:,}",
                f"{found['pages']:,}",
                f"{found['functions']:,}",
                *cells,
            ]
        )
    note = "Bytes of the file, deflated, and by section; memories at the start in pages of 64 KiB."
    return Table("Module size", note, ["", "file", "deflated", "memory pages", "functions", *sections], rows)


def _build(report: Report) -> list[Table]:
    found = report.get("build")
    if not found:
        return []
    if "error" in found:
        return [Table("Build time", f"Not measured: {found['error']}", [], [])]
    rows = [
        ["cold: every step, downloads there already", f"{found['cold']:.1f}"],
        ["warm: one of the filter's sources changed", f"{found['warm']:.1f}"],
        ["nothing changed", f"{found['nothing']:.1f}"],
        *([f"a step of the cold build: {name}", f"{seconds:.1f}"] for name, seconds in found["steps"].items()),
    ]
    return [
        Table(
            "Build time",
            "Seconds, by Bazel in a copy of the sources with an output directory of its own.",
            ["", "seconds"],
            rows,
        )
    ]


def _machine(report: Report) -> Table:
    rows = [[name.replace("_", " "), str(value)] for name, value in report["machine"].items()]
    rows += [[name, value] for name, value in report["versions"].items()]
    rows += [[f"sha256 of {name}", found["sha256"]] for name, found in report["modules"].items()]
    rows += [["others' share of the processors meanwhile", f"{report['others']:.1%}"], ["time", report["time"]]]
    return Table("Machine, versions, digests", "", ["", ""], rows, text=True)


def _title(report: Report) -> str:
    return "What does Python in the data path cost?" + (" (a quick run)" if report["quick"] else "")


def as_markdown(shown: Sequence[Table]) -> list[str]:
    """Returns these tables as paragraphs of Markdown: heading, note, table."""
    parts = []
    for table in shown:
        parts.append(f"## {table.title}")
        if table.note:
            parts.append(table.note)
        if table.rows:
            lines = [table.head, ["---"] + ["---" if table.text else "---:"] * (len(table.head) - 1), *table.rows]
            parts.append(
                "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
            )
    return parts


def markdown(report: Report) -> str:
    """Returns the report as Markdown; its plots are files beside it."""
    plots = [f"![{caption}](plots/{name}.svg)\n\n*{caption}*" for name, (_, caption) in PLOTS.items()]
    return "\n\n".join([f"# {_title(report)}", *report["verdict"], *plots, *as_markdown(tables(report))]) + "\n"


def _cell(text: str) -> str:
    value, bracket, rest = html.escape(text).partition(" [")
    return f'{value}<span class="interval"> [{rest}</span>' if bracket else value


def page(report: Report, drawn: Mapping[str, str]) -> str:
    """Returns the report as one HTML file that needs nothing else."""
    bad = " bad" if report["misroutes"] or report["unanswered"] else ""
    parts = [
        f"<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>{html.escape(_title(report))}</title>",
        f'<meta name=viewport content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>',
        f"<h1>{html.escape(_title(report))}</h1>",
        f'<div class="verdict{bad}">' + "".join(f"<p>{html.escape(text)}</p>" for text in report["verdict"]) + "</div>",
        '<div class="plots">',
    ]
    for name, (_, caption) in PLOTS.items():
        svg = drawn[name].replace("<svg", f'<svg role="img" aria-label="{html.escape(caption)}"', 1)
        parts.append(f"<figure><figcaption>{html.escape(caption)}</figcaption>{svg}</figure>")
    parts.append("</div>")
    for table in tables(report):
        parts.append(f"<h2>{html.escape(table.title)}</h2>")
        if table.note:
            parts.append(f'<p class="note">{html.escape(table.note)}</p>')
        if table.rows:
            tag = ' class="text"' if table.text else ""
            head = "".join(f"<th{tag}>{html.escape(cell)}</th>" for cell in table.head)
            rows = "".join(f"<tr>{''.join(f'<td{tag}>{_cell(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
            parts.append(f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>')
    return "\n".join([*parts, "</body></html>\n"])


def write(report: Report, out: Path) -> list[str]:
    """Writes the three files, and the plots beside them, and returns the verdict."""
    drawn = {name: draw(report) for name, (draw, _) in PLOTS.items()}
    (out / "plots").mkdir(exist_ok=True)
    for name, svg in drawn.items():
        (out / "plots" / f"{name}.svg").write_text(svg)
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (out / "report.md").write_text(markdown(report))
    (out / "report.html").write_text(page(report, drawn))
    sentences: list[str] = report["verdict"]
    return sentences
