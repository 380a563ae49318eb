import hashlib

from plugin import RECEIVER_VM, Receiver, Sender
from proxy_wasm.testing.inprocess import InProcess


def test_the_receiver_reads_all_there_is() -> None:
    with InProcess(Receiver) as vm:
        assert vm.start(configuration=b"http_request_headers")
        queue = vm.host.queue_names[b"", b"http_request_headers"]
        vm.host.queues[queue].extend([b"one", b"two"])
        vm.queue_ready(queue)
        assert vm.host.lines() == ["from http_request_headers: one", "from http_request_headers: two"]


def test_the_sender_writes_headers_and_hashes() -> None:
    with InProcess(Sender) as vm:
        vm.host.vm_id = RECEIVER_VM.encode()  # both in one VM
        queues = {
            name: vm.host.queues[vm.host.proxy_register_shared_queue(name)]
            for name in (b"http_request_headers", b"tcp_data_hashes")
        }
        assert vm.start()
        vm.exchange().request()
        assert queues[b"http_request_headers"][0] == b'{"key": ":method", "value": "GET"}'
        connection = vm.connection()
        connection.new_connection()
        connection.upstream_data(b"pong")
        assert queues[b"tcp_data_hashes"].pop() == hashlib.sha256(b"pong").hexdigest().encode()
