"""Writes a module's image, or pushes one: `python -m oci image MODULE DIRECTORY`, `python -m oci push DIRECTORY REFERENCE`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from oci import image, registry


def _image(options: argparse.Namespace) -> str:
    annotations = dict(pair.split("=", 1) for pair in options.annotation)
    return image.write(options.module.read_bytes(), options.directory, options.variant, annotations)


def _push(options: argparse.Namespace) -> str:
    return registry.push(options.directory, options.reference, plain_http=options.plain_http)


def main() -> None:
    """Does what the command line says and prints the manifest's digest; exits with a message if it cannot."""
    parser = argparse.ArgumentParser(prog="oci", description="Images of Proxy-Wasm modules.")
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("image", help="write a module as an OCI image layout")
    making.add_argument("module", type=Path)
    making.add_argument("directory", type=Path, help="the layout's, which is made")
    making.add_argument("--variant", choices=image.VARIANTS, default="compat")
    making.add_argument("--annotation", action="append", default=[], metavar="NAME=VALUE", help="one of the manifest's")
    making.add_argument("--quiet", action="store_true", help="do not print the digest")
    making.set_defaults(run=_image)
    pushing = commands.add_parser("push", help="push a layout's image into a registry")
    pushing.add_argument("directory", type=Path)
    pushing.add_argument("reference", help="HOST[:PORT]/NAME[:TAG]")
    pushing.add_argument("--plain-http", action="store_true", help="no TLS; for loopback that is the default")
    pushing.set_defaults(run=_push, quiet=False)
    options = parser.parse_args()
    try:
        digest = options.run(options)
    except (OSError, ValueError, registry.RegistryError) as error:
        sys.exit(f"error: {error}")
    if not options.quiet:
        print(digest)


if __name__ == "__main__":
    main()
