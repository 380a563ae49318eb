"""The whole report, of a run that is as short as it can be: every benchmark runs for real, and nothing about time is asserted."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import load, proxy
from bench.guest.engines import ENGINES
from bench.http import client
from bench.http import measure as http_measure
from bench.http import variants as http_variants
from bench.measure import busy, latency, open_loop, plugins, reload, throughput
from bench.reporting import aims, compare, publish, render, run, verdict
from bench.reporting import busy as busy_part
from bench.reporting.figures import Draft
from bench.reporting.plots import PLOTS
from bench.variants import BASELINE, EMPTY, PYTHON, VARIANTS, another
from envoy.process import EnvoyError
from toolchain.wasm import format as wasm

TINY = run.Effort(
    rounds=40,
    log_rounds=20,
    rules_rounds=20,
    busy_rounds=20,
    bursts=2,
    burst=100,
    slices=1,
    slice_seconds=0.2,
    held=200,
    guest_rounds=10,
    traps=2,
    starts=1,
    rest_seconds=1,
    workers=(1, 2),
    build=False,
    plugins=plugins.TINY,
    workload_rounds=2,
    http=http_measure.Effort(2, 64, (1,)),
)
NAMES = [variant.name for variant in VARIANTS]
PROXIED = [variant.name for variant in VARIANTS if variant.proxied]
MODULES = [variant.name for variant in VARIANTS if variant.module]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def made(out: Path) -> Draft:
    return run.run(TINY, True, out, [], None)


def test_every_connection_reached_its_router(made: Draft) -> None:
    assert made["misroutes"] == made["unanswered"] == 0
    assert made["connections"] > 40 * len(NAMES)


def test_every_variant_is_in_every_part(made: Draft) -> None:
    assert list(made["latency"]["values"]) == list(made["throughput"]) == NAMES
    assert list(made["latency_log"]["values"]) == ["baseline", "floor", "python"]
    assert list(made["latency_rules"]["values"]) == ["baseline", "floor", "rules", "named"]
    assert list(made["reload"]) == ["floor", "python"]
    assert [rate["share"] for rate in made["open_loop"]["rates"]] == [0.1, 0.5, 0.8]
    assert all(list(rate["values"]) == NAMES for rate in made["open_loop"]["rates"])
    assert list(made["guest"]) == list(ENGINES)
    assert all(list(found) == MODULES for found in made["guest"].values())
    assert list(made["startup"]) == PROXIED
    assert list(made["at_rest"]) == ["baseline", "floor", "python"]
    assert list(made["modules"]) == MODULES


def test_every_regime_has_every_variant(made: Draft) -> None:
    found = made["busy"]
    assert list(found["regimes"]) == list(busy.REGIMES)
    assert all(list(regime["values"]) == PROXIED for regime in found["regimes"].values())
    assert found["connections"] == len(busy.REGIMES) * len(PROXIED) * TINY.busy_rounds


def test_the_walk_is_over_before_the_connection_is_made() -> None:
    # No machine walks over 64 MiB in a millisecond, however idle it is; a busy one takes longer.
    processor = max(os.sched_getaffinity(0))
    with load.routers() as routers:
        port = f"{routers.ports['egress-router1']}+{64 << 20}@{processor}"
        made = load.client("rounds", [port], 10, 0, 1)
    assert np.all(np.diff(np.sort(made.of(0)["sent"])) > 1_000_000)


@pytest.mark.parametrize(
    ("text", "size"), [("2048K\n", 2 << 20), ("512K", 512 << 10), ("4M\n", 4 << 20), ("", 1 << 20)]
)
def test_the_size_of_a_cache_is_read(text: str, size: int) -> None:
    assert busy.cache_size(text) == size


def test_the_verdict_tells_by_how_much_an_aim_is_missed(made: Draft) -> None:
    ratios = {"off": [1.01, 1, 1.02], "L2": [1.05, 1, 1.1], "twice L2": [1.03, 1, 1.1]}
    over = {"floor": [1.1, 1.05, 1.15], "python": [1.15, 1.1, 1.2]}
    found: dict[str, Any] = {regime: {"python_to_floor": ratio, "ratios": over} for regime, ratio in ratios.items()}
    (text,) = busy_part.sentences({"busy": {"regimes": found}})
    assert " The aim of 1.03 is missed: L2 by 0.020. " in text
    assert text.endswith("In the first plot the filter is inside of the floor's interval in each regime.")
    found["L2"]["ratios"] = over | {"python": [1.25, 1.2, 1.3]}
    (text,) = busy_part.sentences({"busy": {"regimes": found}})
    assert "outside of the floor's interval, in times tcp_proxy alone: L2 by 0.100. What is left" in text
    assert not busy_part.sentences({}) and not busy_part.tables({})


def test_each_aim_is_met_or_missed_by_so_much(made: Draft) -> None:
    found = list(aims.aims(made))
    assert len({aim.what for aim in found}) == len(found) == 14
    (table,) = aims.tables(made)
    assert [row[0] for row in table.rows] == [aim.what for aim in found]
    assert aims.Aim("MB", 40, [61, 61, 61]).missed == 21 and not aims.Aim("MB", 40, [39, 39, 39]).missed
    assert aims.Aim("rate", 1, [0.75, 0, 1], 2, at_least=True).missed == 0.25
    assert (
        not aims.Aim("ratio", 1.03, [1.0304, 1, 1.1], 3).missed and aims.Aim("ratio", 1.03, [1.0306, 1, 1.1], 3).missed
    )


def test_a_connection_after_a_trap_has_a_vm_of_its_own(tmp_path: Path) -> None:
    module = proxy.binary(EMPTY.module or tmp_path, tmp_path).read_bytes()
    ends = reload.trapping(module)
    assert [export.name for export in wasm.Module(ends).exports()][-1] == reload.CALLBACK
    with pytest.raises(ValueError, match="already"):
        reload.trapping(ends)


def test_plugins_in_one_vm_and_in_vms_of_their_own_are_in_the_report(made: Draft) -> None:
    found = {one["title"]: one for one in made["plugins"]}
    assert list(found) == [
        "3 listeners, no Wasm",
        "2 listeners, no Wasm",
        "3 plugins, one VM",
        "2 plugins, a VM for each",
    ]
    assert [one["connections"] for one in found.values()] == [12, 8, 12, 8]
    # Three fewer VMs, though there is one plugin more.
    assert found["3 plugins, one VM"]["anonymous"] < found["2 plugins, a VM for each"]["anonymous"]


def test_each_plugin_has_a_root_context_and_rules_of_its_own(tmp_path: Path) -> None:
    with load.routers() as routers:
        for setting in (plugins.Setting(3), plugins.Setting(3, own_vms=True)):
            listeners = plugins.configured(setting, PYTHON, routers, tmp_path)["static_resources"]["listeners"]
            configs = [one["filter_chains"][0]["filters"][0]["typed_config"]["config"] for one in listeners]
            assert len({config["root_id"] for config in configs}) == 3
            assert len({json.dumps(config["configuration"]) for config in configs}) == 3
            assert len({config["vm_config"]["vm_id"] for config in configs}) == (3 if setting.own_vms else 1)


def test_plugins_without_room_or_an_envoy_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(setting: plugins.Setting, routers: load.Routers) -> None:
        raise EnvoyError("Envoy is not ready after 90 s\nand more")

    monkeypatch.setattr(plugins, "_start", fails)
    with load.routers() as routers:
        settings = (plugins.Setting(1), plugins.Setting(10**6, own_vms=True))
        found = plugins.measure(settings, routers, lambda share: None)
    assert [one["error"] for one in found] == [
        "not measured: Envoy is not ready after 90 s",
        "not measured: it may take 60000.0 GB, and less is free",
    ]
    (table,) = render._plugins({"plugins": found})
    assert [row[-1] for row in table.rows] == [one["error"] for one in found]
    assert not render._plugins({}) and not list(compare._of_plugins(found, found))


def test_two_workers_and_held_connections_are_in_the_report(made: Draft) -> None:
    assert list(made["two_workers"]) == ["baseline", "floor", "python"]
    assert made["two_workers"]["floor"]["to_floor"] == made["throughput"]["floor"]["to_floor"] == [1, 1, 1]
    assert list(made["held"]) == MODULES
    # The boundary knows them by number, and nobody else keeps anything.
    assert made["held"]["python"] == 0


def test_instructions_are_those_between_host_calls(made: Draft) -> None:
    assert list(made["instructions"]) == MODULES
    floor, python = made["instructions"]["floor"], made["instructions"]["python"]
    # The same host calls in the same order.
    assert list(floor) == list(python)
    for steps in (floor, python):
        assert steps["sum"] == sum(steps.values()) - steps["sum"]
    assert 50 < floor["sum"] < 200 < python["sum"]


def test_cache_lines_are_counted_where_that_can_be(made: Draft) -> None:
    assert "error" in made["lines"] or list(made["lines"]) == MODULES


def test_every_request_had_its_answer(made: Draft) -> None:
    http = made["http"]
    try:
        client.program()
    except client.ClientError as error:
        assert http == {"error": str(error)}
        pytest.skip(str(error))
    assert [setting["name"] for setting in http["settings"]] == ["HTTP/1.1, 1 worker", "HTTP/2, 1 worker"]
    names = [variant.name for variant in http_variants.VARIANTS]
    for setting in http["settings"]:
        assert list(setting["variants"]) == names
        assert all(found["worker_us"][0] > 0 for found in setting["variants"].values())
    assert http["wrong"] == 0
    assert list(http["steps"]) == [variant.name for variant in http_variants.VARIANTS if variant.module]
    assert http["steps"]["typical-floor"] < 500 < http["steps"]["typical"]


def test_a_module_that_misroutes_is_found_out(tmp_path: Path) -> None:
    # It does nothing, so that odd sources go where they must not.
    wrong = another(f"wrong={EMPTY.module}", Path())
    with load.routers() as routers, proxy.run([BASELINE, wrong], routers.ports, tmp_path) as running:
        closed = latency.interleaved(running, [BASELINE, wrong], 60)
        baseline, found = throughput.bursts(running, [BASELINE, wrong], routers, 1, 200)
        fixed = open_loop.at_rate(running, [wrong], 1.0, 1000, 1, 0.2)
    assert closed.misroutes["baseline"] == baseline.misroutes == 0
    assert 0 < closed.misroutes["wrong"] < 80
    assert 0 < found.misroutes < 400
    assert 0 < fixed.misroutes < 200
    assert sum(closed.unanswered.values()) == found.unanswered == fixed.unanswered == 0


def test_a_second_client_was_tried(made: Draft) -> None:
    value, low, high = made["two_clients"]
    assert 0 < low <= value <= high


def test_intervals_hold_their_values(made: Draft) -> None:
    for part in (made["latency"], made["latency_log"], *made["open_loop"]["rates"]):
        for kind in ("values", "ratios"):
            for found in part[kind].values():
                assert all(low <= value <= high for value, low, high in (found["p50"], found["mean"]))
                assert found["p50"][0] <= found["p90"][0] <= found["p99"][0] or kind == "ratios"
    assert made["latency"]["ratios"]["baseline"]["p50"] == [1, 1, 1]


def test_memory_and_sizes_are_plausible(made: Draft) -> None:
    for found in made["startup"].values():
        # The kernel is exact about the one, and a little late about the peak.
        assert 0 < found["1"]["anonymous"][0] <= found["1"]["resident"][0] <= 1.05 * found["1"]["peak"][0]
    at_rest = {name: found["resident"] for name, found in made["at_rest"].items()}
    assert (
        0
        < at_rest["baseline"]
        < at_rest["floor"]
        < at_rest["python"]
        < 1.5 * made["startup"]["python"]["1"]["resident"][0]
    )
    python = made["modules"]["python"]
    assert python["total"] > python["sections"]["code"] + python["sections"]["data"] > python["total"] * 0.9


def test_pytest_benchmark_wrote_its_files(made: Draft, out: Path) -> None:
    found = json.loads((out / "pytest-benchmark.json").read_text())
    by_name = {benchmark["param"]: benchmark for benchmark in found["benchmarks"]}
    assert sorted(by_name) == sorted(NAMES)
    for name, benchmark in by_name.items():
        assert benchmark["stats"]["rounds"] == TINY.rounds
        # The same connections in both, so the same median.
        assert benchmark["stats"]["median"] * 1e6 == pytest.approx(made["latency"]["values"][name]["p50"][0])
        assert benchmark["extra_info"]["p50_ratio"] == pytest.approx(made["latency"]["ratios"][name]["p50"])
    assert list(out.glob("histogram*.svg"))


def test_the_pages_are_whole_and_need_nothing_else(made: Draft, out: Path) -> None:
    assert render.write(made, out) == made["verdict"]
    page, text = (out / "report.html").read_text(), (out / "report.md").read_text()
    assert page.count("<svg") == len(list((out / "plots").glob("*.svg"))) == 8
    # Nothing is fetched: what looks like an address is an XML name space.
    assert not re.findall(r"(?:src|href)=\"?(?:https?:)?//", page)
    assert "<script" not in page
    for sentence in made["verdict"]:
        assert sentence in text
    assert "When native routing is enough" in text
    assert json.loads((out / "report.json").read_text()) == json.loads(json.dumps(made))


def test_what_is_published_is_the_report_without_its_plots(made: Draft, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    publish.publish(made, tmp_path)
    data = json.loads((tmp_path / publish.DATA).read_text())
    page = (tmp_path / publish.PAGE).read_text()
    assert page == publish.page(data)
    assert data["latency"]["values"] == made["latency"]["values"]
    assert "distribution" not in data["latency"]
    assert all(sentence in page for sentence in made["verdict"])


def test_misroutes_are_the_first_thing_said(made: Draft) -> None:
    bad = made | {"misroutes": 3}
    assert "3 reached the wrong router" in verdict.sentences(bad)[0]
    drawn = dict.fromkeys(PLOTS, "<svg></svg>")
    assert "verdict bad" in render.page(bad, drawn)


def changed(made: Draft, **what: Any) -> Draft:
    copied: Draft = json.loads(json.dumps(made))
    copied["modules"]["python"] |= what
    return copied


def compared(monkeypatch: pytest.MonkeyPatch, out: Path, old: Draft, new: Draft) -> int:
    files = out / "old.json", out / "new.json"
    for file, data in zip(files, (old, new), strict=True):
        file.write_text(json.dumps(data))
    monkeypatch.setattr("sys.argv", ["compare", *map(str, files)])
    return compare.main()


def test_a_report_is_no_worse_than_itself(
    made: Draft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(monkeypatch, tmp_path, made, made) == 0
    assert "0 worse, 0 better" in capsys.readouterr().out


def test_rules_of_an_older_report_are_held_to_those_with_names(made: Draft) -> None:
    older = json.loads(json.dumps(made))
    ratios = older["latency_rules"]["ratios"]
    ratios["rules"] = ratios.pop("named")
    rules = [one for one in compare.differences(older, made) if one.what.endswith(", 256 rules")]
    assert {one.what.partition(":")[0] for one in rules} >= {"floor", "named"}
    assert not any(one.change for one in rules)
    del older["latency_rules"]
    assert not [one for one in compare.differences(older, made) if one.what.endswith(", 256 rules")]


def test_what_names_add_is_said_only_where_it_was_measured(made: Draft) -> None:
    (table,) = render._rules(made)
    assert "one host call more" in table.note
    older = json.loads(json.dumps(made))
    del older["latency_rules"]["values"]["named"]
    (table,) = render._rules(older)
    assert "host call" not in table.note


def test_a_bigger_module_is_worse_and_a_smaller_better(
    made: Draft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bigger = changed(made, total=made["modules"]["python"]["total"] * 2)
    assert compared(monkeypatch, tmp_path, made, bigger) == 1
    assert re.search(r"WORSE\s+python: module, total .*\+100\.0%", capsys.readouterr().out)
    assert compared(monkeypatch, tmp_path, bigger, made) == 0
    assert re.search(r"better\s+python: module, total .*-50\.0%", capsys.readouterr().out)


def test_misroutes_of_the_new_run_are_worse(made: Draft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compared(monkeypatch, tmp_path, made, made | {"misroutes": 1}) == 1


def test_what_cannot_be_compared_is_said(
    made: Draft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(monkeypatch, tmp_path, made, made | {"format": 0}) == 2
    assert "no report of format" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["compare", str(tmp_path / "none.json"), str(tmp_path / "none.json")])
    assert compare.main() == 2


@pytest.mark.parametrize(
    ("old", "new", "certain"),
    [
        ([1.0, 0.9, 1.1], [1.05, 0.95, 1.2], False),
        ([1.0, 0.99, 1.01], [1.05, 1.02, 1.08], True),
        ([1.0, 1.0, 1.0], [1.005, 1.005, 1.005], False),
        ([1.0, 0.99, 1.01], [0.9, 0.89, 0.91], True),
    ],
)
def test_a_difference_counts_where_the_intervals_do_not_meet(old: list[float], new: list[float], certain: bool) -> None:
    difference = compare.Difference("", "", old, new)
    assert difference.certain is certain
    assert difference.worse is (certain and new[0] > old[0])


def test_effort_is_in_the_report(made: Draft) -> None:
    assert made["effort"]["rounds"] == dataclasses.asdict(TINY)["rounds"]
