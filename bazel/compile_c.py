"""Compiles one C file for this machine with the pinned Zig: `compile_c.py ZIG SOURCE OUT`, ZIG being the wheel's directory."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile


def main(zig: str, source: str, out: str) -> int:
    """Compiles and returns the compiler's exit status."""
    # The oldest glibc that has what a program here may need: it then runs everywhere.
    command = [f"{zig}/ziglang/zig", "cc", "-target", f"{platform.machine()}-linux-gnu.2.28", "-O2", "-std=c11"]
    command += ["-Wall", "-Wextra", "-Werror", "-s", source, "-o", out, "-lm", "-lpthread"]
    with tempfile.TemporaryDirectory() as cache:
        caches = {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
        return subprocess.run(command, env=os.environ | caches).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
