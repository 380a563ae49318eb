"""Routes connections by the parity of the client's address: even to one cluster, odd to the other."""

import proxy_wasm
from proxy_wasm.envoy import route_to

SOURCE_ADDRESS = proxy_wasm.property_path("source", "address")
CLUSTERS = ("even", "odd")


class Connection(proxy_wasm.StreamContext):
    def on_new_connection(self) -> None:
        source = proxy_wasm.get_property(SOURCE_ADDRESS) or b""
        address = proxy_wasm.packed_address(source)
        if address is None:
            return  # a Unix socket: the cluster stays that of `tcp_proxy`
        cluster = CLUSTERS[address[-1] % 2]
        route_to(cluster)
        print(f"{source.decode()} goes to {cluster}")


class Routing(proxy_wasm.RootContext):
    stream_context = Connection


proxy_wasm.register(Routing)
