"""proxy_wasm_runtime: CPython as one Proxy-Wasm core module, into which filters are frozen."""

load("//bazel:defs.bzl", "python_action", "python_attributes")

RuntimeInfo = provider(
    doc = "What a filter is built from.",
    fields = {
        "abi": "File: the ABI table",
        "directory": "string: where the runtime's files are, by their fixed names (toolchain/recipe/files.py)",
        "programs": "depset of Files: the toolchain's own programs",
        "snapshot_files": "list of Files: those of them that a snapshot is made of",
        "tier_files": "list of Files: those of them that a cold tier is made of",
        "tier_programs": "depset of Files: the toolchain's own programs with those of the cold tier",
    },
)

def _step(ctx, directory, steps, inputs, outputs, mnemonic, progress_message):
    """Takes steps of `python -m toolchain runtime`: an action for what changes together."""
    arguments = ctx.actions.args()
    arguments.add("runtime")
    arguments.add("--boot", [file for file in ctx.files.boot if file.basename == "boot.wit"][0].dirname)
    arguments.add("--abi", ctx.file.abi)
    arguments.add("--zig", ctx.file._zig.path)
    arguments.add("--node", ctx.file._node.path)
    arguments.add("--node-modules", ctx.file._node_modules.path)
    arguments.add("--out", directory)
    arguments.add_all(steps, before_each = "--step")
    arguments.add("--quiet")
    python_action(
        ctx,
        module = "toolchain",
        arguments = [arguments],
        inputs = inputs,
        outputs = outputs,
        mnemonic = mnemonic,
        progress_message = progress_message,
    )

def _proxy_wasm_runtime_impl(ctx):
    runtime, stdlib, names, builtins, compiled, interpreter, translation = [
        ctx.actions.declare_file(name)
        for name in ["runtime.wasm", "stdlib.zip", "runtime.names", "runtime.builtins", "runtime.cwasm", "interpreter.wasm", "runtime.cold"]
    ]
    programs = depset(ctx.files.programs)
    runtime_programs = depset(ctx.files.runtime_programs)
    tier_programs = depset(ctx.files.tier_programs, transitive = [programs])
    _step(
        ctx,
        runtime.dirname,
        ["boot", "cpython"],
        inputs = depset(
            ctx.files.boot + [ctx.file.abi, ctx.file._zig, ctx.file._node, ctx.file._node_modules],
            transitive = [runtime_programs],
        ),
        outputs = [runtime, stdlib, names, builtins],
        mnemonic = "Runtime",
        progress_message = "Booting, flattening and optimising CPython (a minute or two, once) for %s" % runtime.short_path,
    )
    _step(
        ctx,
        runtime.dirname,
        ["compile"],
        inputs = depset([runtime], transitive = [runtime_programs]),
        outputs = [compiled],
        mnemonic = "CompileRuntime",
        progress_message = "Compiling %s for this machine" % runtime.short_path,
    )
    _step(
        ctx,
        runtime.dirname,
        ["tier"],
        inputs = depset([runtime, ctx.file._zig], transitive = [tier_programs]),
        outputs = [interpreter, translation],
        mnemonic = "PrepareTier",
        progress_message = "Translating %s for the cold tier" % runtime.short_path,
    )
    info = RuntimeInfo(
        abi = ctx.file.abi,
        directory = runtime.dirname,
        programs = programs,
        snapshot_files = [runtime, compiled, stdlib],
        tier_files = [interpreter, translation, names, builtins],
        tier_programs = tier_programs,
    )
    return [info, DefaultInfo(
        files = depset([runtime]),
        runfiles = ctx.runfiles(files = [runtime, compiled, stdlib, names, builtins, interpreter, translation]),
    )]

_ATTRIBUTES = {
    "abi": attr.label(mandatory = True, allow_single_file = [".toml"], doc = "The ABI table."),
    "boot": attr.label(mandatory = True, allow_files = True, doc = "The programs that componentize-py pre-initialises."),
    "programs": attr.label(mandatory = True, allow_files = True, doc = "The toolchain's programs."),
    "runtime_programs": attr.label(mandatory = True, allow_files = True, doc = "Those of them that make the runtime."),
    "tier_programs": attr.label(mandatory = True, allow_files = True, doc = "The cold tier's programs."),
    "_node": attr.label(default = "@wheels_node//:site", allow_single_file = True),
    "_node_modules": attr.label(default = "@npm//:node_modules", allow_single_file = True),
    "_zig": attr.label(default = "@wheels_zig//:site", allow_single_file = True),
}
_ATTRIBUTES.update(python_attributes(wheels = ["build"]))

proxy_wasm_runtime = rule(
    implementation = _proxy_wasm_runtime_impl,
    attrs = _ATTRIBUTES,
)
