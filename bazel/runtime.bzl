"""proxy_wasm_runtime: CPython as one Proxy-Wasm core module, into which filters are frozen."""

load("//bazel:defs.bzl", "python_action", "python_attributes")

RuntimeInfo = provider(
    doc = "What a filter is built from.",
    fields = {
        "abi": "File: the ABI table",
        "compiled": "File: the runtime, compiled for this machine",
        "interpreter": "File: the cold tier's interpreter, a core module",
        "names": "File: the names of the runtime's functions, by index",
        "programs": "depset of Files: the toolchain's own programs",
        "runtime": "File: the core module",
        "stdlib": "File: CPython's standard library, a zip file",
        "tier_programs": "depset of Files: the toolchain's own programs with those of the cold tier",
        "translation": "File: the runtime's functions in the form that the cold tier's interpreter runs",
    },
)

def _proxy_wasm_runtime_impl(ctx):
    runtime = ctx.actions.declare_file(ctx.label.name + ".wasm")
    stdlib = ctx.actions.declare_file("stdlib.zip")
    names = ctx.actions.declare_file(ctx.label.name + ".names")
    compiled = ctx.actions.declare_file(ctx.label.name + ".cwasm")
    interpreter = ctx.actions.declare_file("interpreter.wasm")
    translation = ctx.actions.declare_file(ctx.label.name + ".cold")
    programs = depset(ctx.files.programs)
    runtime_programs = depset(ctx.files.runtime_programs)
    tier_programs = depset(ctx.files.tier_programs, transitive = [programs])
    arguments = ctx.actions.args()
    arguments.add("--boot", [file for file in ctx.files.boot if file.basename == "boot.wit"][0].dirname)
    arguments.add("--abi", ctx.file.abi)
    arguments.add("--zig", ctx.file._zig.path)
    arguments.add("--node", ctx.file._node.path)
    arguments.add("--node-modules", ctx.file._node_modules.path)
    arguments.add("--runtime", runtime)
    arguments.add("--stdlib", stdlib)
    arguments.add("--names", names)
    python_action(
        ctx,
        module = "toolchain.runtime.build",
        arguments = [arguments],
        inputs = depset(
            ctx.files.boot + [ctx.file.abi, ctx.file._zig, ctx.file._node, ctx.file._node_modules],
            transitive = [runtime_programs],
        ),
        outputs = [runtime, stdlib, names],
        mnemonic = "Runtime",
        progress_message = "Booting, flattening and optimising CPython (a minute or two, once) for %s" % runtime.short_path,
    )
    python_action(
        ctx,
        module = "toolchain.runtime.compile",
        arguments = [runtime.path, compiled.path],
        inputs = depset([runtime], transitive = [runtime_programs]),
        outputs = [compiled],
        mnemonic = "CompileRuntime",
        progress_message = "Compiling %s for this machine" % runtime.short_path,
    )
    arguments = ctx.actions.args()
    arguments.add("--runtime", runtime)
    arguments.add("--zig", ctx.file._zig.path)
    arguments.add("--interpreter", interpreter)
    arguments.add("--translation", translation)
    python_action(
        ctx,
        module = "toolchain.tier.prepare",
        arguments = [arguments],
        inputs = depset([runtime, ctx.file._zig], transitive = [tier_programs]),
        outputs = [interpreter, translation],
        mnemonic = "PrepareTier",
        progress_message = "Translating %s for the cold tier" % runtime.short_path,
    )
    info = RuntimeInfo(
        abi = ctx.file.abi,
        compiled = compiled,
        interpreter = interpreter,
        names = names,
        programs = programs,
        runtime = runtime,
        stdlib = stdlib,
        tier_programs = tier_programs,
        translation = translation,
    )
    return [info, DefaultInfo(
        files = depset([runtime]),
        runfiles = ctx.runfiles(files = [runtime, compiled, stdlib, names, interpreter, translation]),
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
