"""The project's version, which stands nowhere else: the wheel, its metadata and a release have it from here."""

VERSION = "0.1.0"

WHEEL = "proxy_wasm-%s-py3-none-any.whl" % VERSION
