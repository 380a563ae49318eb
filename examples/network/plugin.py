"""Logs what goes through a TCP connection, where it goes, and counts connections."""

import proxy_wasm
from proxy_wasm import Buffer, PeerType
from proxy_wasm.attributes import upstream
from proxy_wasm.metrics import Counter

CONNECTIONS = Counter("network.connections")
REGION = proxy_wasm.property_path("xds", "cluster_metadata", "filter_metadata", "location", "region")


class Connection(proxy_wasm.StreamContext):
    def on_new_connection(self) -> None:
        print("new connection!")

    def on_downstream_data(self, size: int, end_of_stream: bool) -> None:
        if size:
            print(f"downstream data: {proxy_wasm.get_buffer(Buffer.DOWNSTREAM_DATA)!r}")

    def on_upstream_data(self, size: int, end_of_stream: bool) -> None:
        if not size:
            return  # the end of the stream
        region = proxy_wasm.get_property(REGION) or b"?"
        print(f"from {upstream.address} in region {region.decode()}")
        print(f"upstream data: {proxy_wasm.get_buffer(Buffer.UPSTREAM_DATA)!r}")

    def on_downstream_connection_close(self, peer: PeerType) -> None:
        print("downstream connection closed!")

    def on_done(self) -> bool:
        CONNECTIONS.increment()
        print("connection complete!")
        return True


class Network(proxy_wasm.RootContext):
    stream_context = Connection


proxy_wasm.register(Network)
