"""What the filter does all day, for the build: "Starting fast" in the author's guide says why."""

from collections.abc import Iterator

from proxy_wasm.testing import training


def train(module: bytes) -> Iterator[bytes]:
    vm = training.start(module)
    vm.host.vm_id = b"receiver"
    vm.start(configuration=b"http_request_headers", root_id=b"receiver")
    training.configured(vm)
    queue = vm.host.queue_names[b"receiver", b"http_request_headers"]
    vm.host.queues[queue].append(b"an entry")
    vm.queue_ready(queue)
    yield vm.memory
    vm = training.start(module)
    vm.start(root_id=b"sender")
    training.configured(vm)
    training.exchange(vm)
    connection = vm.connection()
    connection.new_connection()
    connection.upstream_data(b"pong")
    connection.close()
    yield vm.memory
