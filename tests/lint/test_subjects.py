"""Which test covers a file? The one that this table names, or else the one that is named after it."""

from __future__ import annotations

import os
from pathlib import Path

SUBJECTS = ("toolchain", "proxy_wasm", "filter", "oci", "egress_router")
"""The folders whose modules have tests."""

TESTED_BY = {
    # ---- the filter
    "filter/counters.py": "tests/unit/test_plugin.py",
    "filter/index.py": "tests/unit/test_policy.py",
    "filter/intervals.py": "tests/unit/test_sides.py",
    "filter/matching.py": "tests/unit/test_policy.py",
    "filter/pack_cidrs.py": "tests/unit/test_cidrs.py",
    "filter/readers.py": "tests/unit/test_configuration_refused.py",
    "filter/server_names.py": "tests/unit/test_policy.py",
    "filter/slips.py": "tests/unit/test_configuration_refused.py",
    "filter/struct_values.py": "tests/unit/test_configuration.py",
    # ---- images
    "oci/__main__.py": "tests/unit/test_image.py",
    # ---- the egress router
    "egress_router/__main__.py": "tests/unit/test_egress_router.py",
    "egress_router/server.py": "tests/unit/test_egress_router.py",
    # ---- the SDK
    "proxy_wasm/_calls.py": "tests/unit/test_host_calls.py",
    "proxy_wasm/_dispatch.py": "tests/unit/test_contexts.py",
    "proxy_wasm/_errors.py": "tests/unit/test_host_calls.py",
    "proxy_wasm/_fetch.py": "tests/unit/test_await.py",
    "proxy_wasm/_http.py": "tests/unit/test_answers.py",
    "proxy_wasm/http.py": "tests/unit/test_http_calls.py",
    "proxy_wasm/_grpc_unary.py": "tests/unit/test_await_grpc.py",
    "proxy_wasm/_bodies.py": "tests/unit/test_http.py",
    "proxy_wasm/_headers.py": "tests/unit/test_http.py",
    "proxy_wasm/_http_contexts.py": "tests/unit/test_http.py",
    "proxy_wasm/_http_dispatch.py": "tests/unit/test_http.py",
    "proxy_wasm/testing/envoy.py": "tests/wheel/test_author.py",
    "proxy_wasm/testing/foreign.py": "tests/unit/test_envoy.py",
    "proxy_wasm/testing/exchange.py": "tests/unit/test_http.py",
    "proxy_wasm/testing/connection.py": "tests/unit/test_answers.py",
    "proxy_wasm/testing/driver.py": "tests/unit/test_answers.py",
    "proxy_wasm/testing/records.py": "tests/unit/test_host_calls.py",
    "proxy_wasm/_logging.py": "tests/unit/test_output.py",
    "proxy_wasm/_mistakes.py": "tests/unit/test_register.py",
    "proxy_wasm/_protobuf.py": "tests/unit/test_configuration_dataclass.py",
    "proxy_wasm/_tasks.py": "tests/unit/test_await_coroutines.py",
    "proxy_wasm/_struct_values.py": "tests/unit/test_configuration_dataclass.py",
    "proxy_wasm/_types.py": "tests/unit/test_abi.py",
    "proxy_wasm/version.py": "tests/host/test_recipe.py",
    "proxy_wasm/testing/boundary.py": "tests/unit/test_contexts.py",
    "proxy_wasm/testing/inprocess.py": "tests/unit/test_contexts.py",
    # ---- the toolchain
    "toolchain/__main__.py": "tests/host/test_recipe.py",
    "toolchain/runtime/tables.py": "tests/unit/test_owners.py",
    "toolchain/tier/without.py": "tests/unit/test_builtins.py",
    "toolchain/boot/boot.py": "tests/host/test_snapshot.py",
    "toolchain/boot/dump_stdlib.py": "tests/host/test_snapshot.py",
    "toolchain/boundary/generate.py": "tests/host/test_sdk_in_module.py",
    "toolchain/boundary/type_stubs.py": "tests/unit/test_abi.py",
    **dict.fromkeys(
        [
            f"toolchain/cpython/{name}.py"
            for name in ("compiler", "component", "header", "objects", "recursion", "start", "waiting")
        ],
        "tests/unit/test_cpython.py",
    ),
    "toolchain/cpython/heap.py": "tests/host/test_light.py",
    "toolchain/cpython/objects.py": "tests/host/test_source_router.py",
    "toolchain/producers.py": "tests/host/test_recipe.py",
    "toolchain/cpython/imports.py": "tests/host/test_late.py",
    "toolchain/cpython/types.py": "tests/host/test_stackguard.py",
    "toolchain/guard/callgraph.py": "tests/host/test_stackguard.py",
    "toolchain/guard/circles.py": "tests/host/test_stackguard.py",
    "toolchain/guard/data.py": "tests/host/test_stackguard.py",
    "toolchain/guard/types.py": "tests/host/test_stackguard.py",
    "toolchain/guard/pointers.py": "tests/host/test_recursion.py",
    "toolchain/recipe/files.py": "tests/host/test_recipe.py",
    "toolchain/recipe/filter.py": "tests/host/test_recipe.py",
    "toolchain/recipe/options.py": "tests/host/test_recipe.py",
    "toolchain/recipe/runtime.py": "tests/host/test_recipe.py",
    "toolchain/runtime/componentize.py": "tests/reproducible/test_digests.py",
    "toolchain/runtime/docstrings.py": "tests/host/test_light.py",
    "toolchain/runtime/library.py": "tests/host/test_late.py",
    "toolchain/runtime/start.py": "tests/reproducible/test_digests.py",
    "toolchain/runtime/waits.py": "tests/host/test_late.py",
    "toolchain/tier/assemble.py": "tests/host/test_tier.py",
    "toolchain/tier/build.py": "tests/host/test_training.py",
    "toolchain/tier/declarations.py": "tests/cold/test_random_functions.py",
    "toolchain/tier/functions.py": "tests/host/test_tier.py",
    "toolchain/tier/memories.py": "tests/host/test_tier.py",
    "toolchain/tier/parts.py": "tests/host/test_tier.py",
    "toolchain/tier/prepare.py": "tests/cold/test_opcodes.py",
    "toolchain/tier/report.py": "tests/host/test_tier.py",
    "toolchain/tier/translate.py": "tests/cold/test_opcodes.py",
    "toolchain/tier/additions.py": "tests/host/test_tier.py",
    "toolchain/tier/bodies.py": "tests/host/test_tier.py",
    "toolchain/tier/bridges.py": "tests/host/test_tier.py",
    "toolchain/tier/emit.py": "tests/host/test_tier.py",
    "toolchain/tier/image.py": "tests/host/test_tier.py",
    "toolchain/tier/link.py": "tests/host/test_tier.py",
    "toolchain/tier/operands.py": "tests/cold/test_opcodes.py",
    "toolchain/tier/stubs.py": "tests/host/test_tier.py",
    "toolchain/tier/translation.py": "tests/host/test_tier.py",
    "toolchain/tier/writer.py": "tests/cold/test_opcodes.py",
    "toolchain/tools.py": "tests/host/test_recipe.py",
    "toolchain/vm/heap.py": "tests/host/test_light.py",
    "toolchain/vm/imported.py": "tests/unit/test_late.py",
    "toolchain/vm/named.py": "tests/unit/test_calling.py",
    "toolchain/vm/sources.py": "tests/host/test_snapshot.py",
    "toolchain/wasm/format.py": "tests/host/test_verify.py",
    "toolchain/wasm/instructions.py": "tests/cold/test_opcodes.py",
}
"""For each module whose tests have another name, the test that holds most of what it does."""


def files(folder: str) -> set[str]:
    """Returns the Python files below a folder."""
    return {
        Path(directory, name).as_posix()
        for directory, _, names in os.walk(folder)
        for name in names
        if name.endswith(".py") and name != "__init__.py"
    }


def is_named_after(test: str, module: str) -> bool:
    """Tells whether a test's file has a module's name, alone or with more behind it."""
    stem, wanted = Path(test).stem, f"test_{Path(module).stem.lstrip('_')}"
    return stem == wanted or stem.startswith(f"{wanted}_")


def test_every_module_has_a_test_that_is_found_by_its_name_or_in_the_table() -> None:
    tests = {path for path in files("tests") if Path(path).name.startswith("test_")}
    modules = set().union(*map(files, SUBJECTS))
    modules -= {path for path in modules if path.endswith("_pb.py")}
    named = {module for module in modules if any(is_named_after(test, module) for test in tests)}
    hint = "name a test after it, or say in tests/lint/test_subjects.py which one covers it"
    assert sorted(modules - named - TESTED_BY.keys()) == [], hint
    assert sorted(TESTED_BY.keys() - modules) == [], "there is no such module any more"
    assert sorted(set(TESTED_BY.values()) - tests) == [], "there is no such test"


def test_a_name_is_a_whole_word() -> None:
    assert is_named_after("tests/unit/test_policy.py", "filter/policy.py")
    assert is_named_after("tests/unit/test_policy_counters.py", "filter/policy.py")
    assert is_named_after("tests/unit/test_contexts.py", "proxy_wasm/_contexts.py")
    assert not is_named_after("tests/unit/test_policyholder.py", "filter/policy.py")
