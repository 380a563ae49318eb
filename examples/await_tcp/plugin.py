"""Asks two services at once about each TCP connection, before any byte is read, and closes it if either objects."""

import proxy_wasm
from proxy_wasm import Action

SOURCE_ADDRESS = proxy_wasm.property_path("source", "address")


class Connection(proxy_wasm.StreamContext):
    async def on_new_connection(self) -> Action | None:
        source = proxy_wasm.get_property(SOURCE_ADDRESS) or b""
        blocklist, quota = await proxy_wasm.gather(
            self.fetch("blocklist", "/check", headers={"x-source": source}, timeout=0.5),
            self.fetch("quota", "/take", headers={"x-source": source}, timeout=0.5),
        )
        print(f"{source.decode()}: blocklist {blocklist.status}, quota {quota.status}")
        if blocklist.status == quota.status == 200:
            return None
        proxy_wasm.close_downstream()
        return Action.PAUSE


class Guard(proxy_wasm.RootContext):
    stream_context = Connection
    failure_policy = proxy_wasm.FailurePolicy.CLOSE


proxy_wasm.register(Guard)
