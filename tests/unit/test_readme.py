"""The guides say what is true: programs run, tables name every callback and host call, the rule shown is the filter's."""

from __future__ import annotations

import os
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

import proxy_wasm
from proxy_wasm import Action, Headers, _calls, _http, grpc
from proxy_wasm import http as http
from proxy_wasm._bodies import Body
from proxy_wasm.testing.abi import CALLBACKS
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.workers import Workers

GUIDE = (Path(os.path.abspath(proxy_wasm.__file__)).parent / "README.md").read_text(encoding="utf-8")


PROGRAMS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
(
    PROGRAM,
    FIRST_HTTP,
    FIRST_HTTP_TEST,
    HTTP,
    WAITING,
    GRPC,
    ASKING,
    BOTH,
    AWAITING,
    AWAITING_TEST,
    SNIFFING,
    ATTRIBUTES,
    METRICS,
    ENVOY,
    ENVOY_TEST,
    ROUTER,
    TABLE,
    CONFIGURED,
    SHARED,
    PROJECT_TEST,
    TEST,
    HTTP_TEST,
    WORKERS_TEST,
) = PROGRAMS


def names(*programs: str) -> dict[str, Any]:
    """Returns what the programs define."""
    defined: dict[str, Any] = {"InProcess": InProcess, "Action": Action}
    with InProcess():  # a registration ends here
        for program in programs:
            exec(program, defined)
    return defined


def test_the_program_and_its_test_run() -> None:
    exec(TEST, names(PROGRAM))
    exec(AWAITING_TEST, awaiting())


@pytest.mark.parametrize("test", ["test_ann_passes", "test_mallory_does_not"])
def test_the_first_http_filter_passes_its_tests(test: str) -> None:
    with InProcess(names(FIRST_HTTP)["Gate"]) as vm:
        assert vm.start()
        names(FIRST_HTTP_TEST)[test](vm)


def test_its_cluster_is_the_one_that_a_new_project_proposes() -> None:
    made = Path("command/templates/http/envoy.yaml").read_text(encoding="utf-8")
    (cluster,) = yaml.safe_load(made)["static_resources"]["clusters"]
    assert f'self.fetch("{cluster["name"]}", "/check"' in FIRST_HTTP
    assert "http.server 9000" in GUIDE and "port_value: 9000" in str(made)


def awaiting() -> dict[str, Any]:
    """Returns what the program that awaits defines; it goes on from the first one's beginning."""
    return names(PROGRAM.partition("class Connection")[0], AWAITING)


@pytest.mark.parametrize(("source", "cluster"), [("10.0.0.2:1", "even"), ("[::3]:1", "odd"), ("/run/x.sock", None)])
def test_the_quickest_way_to_route(source: str, cluster: str | None) -> None:
    with InProcess(names(PROGRAM.partition("class Connection")[0], ROUTER)["Parity"]) as vm:
        assert vm.start()
        connection = vm.connection(source=source)
        assert connection.new_connection() == Action.CONTINUE
        assert connection.cluster == cluster


@pytest.mark.parametrize(
    ("source", "cluster"),
    [("9.9.9.9:1", "below"), ("10.0.0.2:1", "even"), ("10.0.0.3:1", "odd"), ("11.0.0.3:1", "odd"), ("[::]:1", "even")],
)
def test_a_table_routes_by_blocks(source: str, cluster: str) -> None:
    with InProcess(names(PROGRAM.partition("class Connection")[0], ROUTER, TABLE)["Blocks"]) as vm:
        assert vm.start()
        connection = vm.connection(source=source)
        assert connection.new_connection() == Action.CONTINUE
        assert connection.cluster == cluster


FRONT = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_first_program_that_a_reader_meets_logs_what_is_shown() -> None:
    (shown,) = re.findall(r"wasm log: (a connection .*)", Path("README.md").read_text(encoding="utf-8"))
    with InProcess(names(FRONT[0])["Plugin"]) as vm:
        assert vm.start()
        vm.connection(source="127.0.0.1:51234").new_connection()
        assert vm.host.lines() == [shown]


@pytest.mark.parametrize(("status", "answered"), [(200, None), (401, 403), (504, 403)])
def test_the_second_one_waits_for_another_service(status: int, answered: int | None) -> None:
    request = names(*FRONT)["Request"]
    with InProcess(type("Plugin", (proxy_wasm.RootContext,), {"http_context": request})) as vm:
        assert vm.start()
        exchange = vm.exchange()
        exchange.request({":method": "GET", ":path": "/", ":authority": "here", "x-user": "ann"})
        ((call, made),) = vm.host.http_calls.items()
        assert dict(made.headers)[b"x-user"] == b"ann"
        vm.http_call_response(call, [(b":status", b"%d" % status)])
        assert (exchange.local_response and exchange.local_response.status) == answered


@pytest.mark.parametrize(("status", "line"), [(200, None), (403, None), (504, "the authorizer does not answer")])
@pytest.mark.parametrize("awaits", [False, True])
def test_the_authorizer_is_asked(status: int, line: str | None, awaits: bool) -> None:
    connection_class = awaiting()["Guarded"] if awaits else names(PROGRAM, ASKING)["Connection"]
    with InProcess(type("Plugin", (proxy_wasm.RootContext,), {"stream_context": connection_class})) as vm:
        vm.start()
        connection = vm.connection(source="10.0.0.1:4711")
        assert connection.new_connection() == Action.PAUSE
        ((call, made),) = vm.host.http_calls.items()
        assert (made.cluster, dict(made.headers)[b"x-source"]) == (b"authz", b"10.0.0.1:4711")
        if status == 504:
            vm.http_call_failure(call, status)
        else:
            vm.http_call_response(call, [(b":status", b"%d" % status)])
        assert connection.goes_on == (status == 200)
        assert bool(connection.context.closed) == (status != 200)
        assert vm.host.lines() == [line][: line is not None]


def test_the_gate_opens() -> None:
    defined = names(PROGRAM, HTTP)
    exec(HTTP_TEST, defined)
    with InProcess(defined["Gate"]) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        assert (exchange.downstream.status, exchange.downstream.body) == (403, b"no\n")
        assert exchange.downstream.header("via") == b"python"


@pytest.mark.parametrize("status", [200, 401])
def test_a_request_waits(status: int) -> None:
    defined = names(PROGRAM, HTTP, WAITING)
    with InProcess(type("Root", (proxy_wasm.RootContext,), {"http_context": defined["Asking"]})) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        vm.http_call_response(next(iter(vm.host.http_calls)), [(b":status", b"%d" % status)])
        assert (exchange.upstream.header("x-checked"), exchange.downstream.status) == (
            (b"yes", 0) if status == 200 else (None, 403)
        )
        exchange.close()


@pytest.mark.parametrize(("port", "sni", "closed"), [(443, "", True), (443, "a.example", False), (80, "", False)])
def test_attributes_decide(port: int, sni: str, closed: bool) -> None:
    guest = names(PROGRAM, ATTRIBUTES)["Guest"]
    with InProcess(type("Root", (proxy_wasm.RootContext,), {"stream_context": guest})) as vm:
        vm.start()
        given: dict[str, Any] = {"destination.port": port, "connection.requested_server_name": sni}
        connection = vm.connection(given, source="10.0.0.2:1")
        connection.new_connection()
        assert bool(connection.context.closed) == closed


def test_requests_are_counted() -> None:
    counted = names(PROGRAM, HTTP, METRICS)["Counted"]
    with InProcess(type("Root", (proxy_wasm.RootContext,), {"http_context": counted})) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        exchange.respond()
        found = {metric.name: metric.records or metric.value for metric in vm.host.metrics.values()}
        assert found == {b"requests;method=GET;status=200": 1, b"response_bytes": [10]}


def test_a_cluster_is_chosen() -> None:
    exec(ENVOY_TEST, names(PROGRAM, ATTRIBUTES, ENVOY))


def test_a_configuration_is_read_or_refused() -> None:
    sys.modules["guide"] = types.ModuleType("guide")  # where a dataclass looks its names up
    try:
        configured = names("__name__ = 'guide'\n", PROGRAM, CONFIGURED)["Configured"]
        with InProcess(configured) as vm:
            assert vm.start(configuration=b'{"cluster": "a", "ports": [1]}')
            assert not vm.configure(b'{"cluster": "a", "ports": [1, "x"]}')
            (shown,) = re.findall(r"# (refused: .*)", CONFIGURED)
            assert vm.host.lines(4) == [shown]
    finally:
        del sys.modules["guide"]


def test_workers_share() -> None:
    with InProcess(names(PROGRAM, SHARED)["Shared"]) as vm:
        assert vm.start()
        vm.tick()
        vm.tick()
        vm.queue_ready(1)
        assert vm.host.lines() == ["a tick", "a tick"]
        assert {key: value for key, (value, _) in vm.host.shared_data.items()} == {
            b"seen.starts": b"\1" + bytes(7),
            b"seen.last": b"tick tick ",
        }
    exec(WORKERS_TEST, names(PROGRAM, SHARED) | {"Workers": Workers})


@pytest.mark.parametrize("status", [200, 401])
def test_each_answer_has_a_function(status: int) -> None:
    both = names(PROGRAM, HTTP, BOTH)["Both"]
    both.__module__ = __name__  # which has `http`, as the author's has
    with InProcess(type("Root", (proxy_wasm.RootContext,), {"http_context": both})) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        vm.http_call_response(next(iter(vm.host.http_calls)), {":status": str(status)})
        assert (exchange.upstream.headers is not None, exchange.downstream.status) == (
            (True, 0) if status == 200 else (False, 403)
        )


def test_the_grpc_authorizer_is_asked() -> None:
    defined = names(PROGRAM, HTTP, GRPC)
    root = type("Root", (proxy_wasm.RootContext,), {"http_context": defined["Checked"]})
    for status in (0, 7):
        with InProcess(root, grpc=True) as vm:
            vm.start()
            exchange = vm.exchange()
            exchange.request({"x-user": "me"})
            ((call, made),) = vm.host.grpc_calls.items()
            assert made.messages == [b"me"]
            vm.grpc_close(call, status) if status else vm.grpc_receive(call, b"")
            assert (exchange.upstream.headers is not None, exchange.downstream.status) == (
                not status,
                403 if status else 0,
            )
            exchange.close()


def test_who_says_nothing_goes_on_after_a_while() -> None:
    defined = names(PROGRAM, SNIFFING)
    with InProcess(defined["Sniffers"]) as vm:
        assert vm.start()
        speaking, silent, leaving = (vm.connection(early_data=True) for _ in range(3))
        for connection in (speaking, silent, leaving):
            assert connection.new_connection() == Action.PAUSE
        leaving.close()
        speaking.downstream_data(b"GET /")
        vm.tick()
        assert (speaking.goes_on, silent.goes_on) == (True, False)
        vm.host.now += 200_000_000
        vm.tick()
        assert silent.goes_on
        assert vm.host.logs == [(2, "first bytes: b'GET /'")]


def test_the_tests_shown_are_those_of_a_new_project() -> None:
    made = Path("command/templates/tcp/test_plugin.py").read_text(encoding="utf-8")
    shown = [line for line in PROJECT_TEST.splitlines() if line.startswith(" ")]
    assert len(shown) > 3 and [line for line in shown if line not in made] == []


def test_the_tables_are_complete() -> None:
    for callback in CALLBACKS.values():
        if callback.name == "proxy_on_context_create" or "grpc" in callback.name:
            continue
        (row,) = re.findall(rf"^\| `{callback.method}\(.*", GUIDE, re.MULTILINE)
        marks = [cell.strip() for cell in row.split("|")[2:5]]
        assert marks == ["x" if context in callback.contexts else "" for context in ("root", "stream", "http")], row
    for name in (*grpc.__all__, *vars(grpc.Stream), *vars(Headers), *vars(Body)):
        if name[0] != "_" and name != "OK":
            assert re.search(rf"[`.]{name}[`(.]", GUIDE), name
    for name in filter(str.islower, set(proxy_wasm.__all__) & (set(vars(_calls)) | set(vars(_http)))):
        assert re.search(rf"`{name}[`(]", GUIDE), name


def test_the_rule_that_the_readme_shows_is_the_filters() -> None:
    section = Path("README.md").read_text(encoding="utf-8").partition("## Change the rule")[2].partition("\n## ")[0]
    shown = [line for line in section.splitlines(keepends=True) if line.startswith("    ")]
    assert shown and "".join(shown) in Path("filter/routing.py").read_text(encoding="utf-8")


def test_an_answer_is_written_as_a_request_is() -> None:
    request = names(*FRONT)["Request"]
    with InProcess(type("Plugin", (proxy_wasm.RootContext,), {"http_context": request})) as vm:
        assert vm.start()
        exchange = vm.exchange()
        exchange.request({"x-user": "ann"})
        vm.http_call_response(next(iter(vm.host.http_calls)), {":status": "403"}, "no")
        assert exchange.local_response and exchange.local_response.status == 403
