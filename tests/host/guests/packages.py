"""A filter that uses a pure-Python package from a pinned wheel, in a namespace package: protobuf's own runtime."""

from google.protobuf.struct_pb2 import Struct

import proxy_wasm


class Root(proxy_wasm.RootContext):
    """Says at its configuration what protobuf made of it."""

    def on_configure(self, configuration: bytes) -> bool:
        """Parses and encodes the configuration, a Struct."""
        parsed = Struct.FromString(configuration)
        proxy_wasm.info(f"answer {parsed['answer']}, {len(parsed.SerializeToString())} bytes")
        return True


proxy_wasm.register(Root)
