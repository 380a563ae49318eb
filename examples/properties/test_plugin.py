from examples.properties.plugin import AUTH, Plugin
from proxy_wasm.testing.inprocess import InProcess


def test_the_route_names_the_header() -> None:
    with InProcess(Plugin) as vm:
        assert vm.start()
        for properties, headers, refused in (
            ({AUTH: b"cookie"}, {}, True),
            ({AUTH: b"cookie"}, {"cookie": "value"}, False),
            ({}, {}, False),
        ):
            exchange = vm.exchange(properties)
            exchange.request(headers)
            assert (exchange.downstream.status == 401) == refused
