"""example: what each folder of examples has."""

load("//bazel:defs.bzl", "python_binary", "sources")
load("//bazel:filter.bzl", "proxy_wasm_filter")

EXAMPLES = [
    "ab_report",
    "await_chain",
    "await_tcp",
    "dispatch_call_on_tick",
    "filter_metadata",
    "foreign_call_on_tick",
    "grpc_auth_random",
    "hello_world",
    "http_auth_random",
    "http_body",
    "http_body_chunk",
    "http_body_operations",
    "http_config",
    "http_headers",
    "http_routing",
    "ip_policy",
    "json_validation",
    "jwt_check",
    "metrics",
    "multiple_dispatches",
    "network",
    "postpone_requests",
    "properties",
    "redaction",
    "shared_data",
    "shared_queue",
    "tcp_routing",
    "vm_plugin_configuration",
]

def example(name, deps = [], training = None):
    """Declares an example: `wasm` is its module, and a target with the folder's name runs it in Envoy.

    Neither is built by `bazel build //...`: the tests have one module of all examples.

    Args:
      name: the folder's name.
      deps: what the plugin imports beside `proxy_wasm`.
      training: the filter's training, if it has one of its own.
    """
    proxy_wasm_filter(
        name = "wasm",
        srcs = ["plugin.py"],
        out = name + ".wasm",
        module = "examples.%s.plugin" % name,
        tags = ["manual"],
        visibility = ["//visibility:public"],
        deps = deps + ["//proxy_wasm"],
        **({"training": training} if training else {})
    )
    python_binary(
        name = name,
        srcs = ["//envoy"],
        args = ["$(location envoy.yaml)"],
        data = [
            "envoy.yaml",
            ":wasm",
        ],
        main = "//examples:run.py",
        tags = ["manual"],
        wheels = ["envoy"],
    )
    native.filegroup(
        name = "plugin",
        srcs = ["plugin.py"] + deps,
        visibility = ["//visibility:public"],
    )
    native.filegroup(
        name = "project",
        srcs = ["pyproject.toml"] + native.glob(
            ["training.py"],
            allow_empty = True,
        ),
        visibility = ["//visibility:public"],
    )
    native.exports_files([
        "README.md",
        "envoy.yaml",
        "test_plugin.py",
    ])
    sources(name = "sources")
