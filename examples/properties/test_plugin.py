from proxy_wasm.testing.lifecycle import Vm

AUTH = b"\0".join((b"xds", b"route_metadata", b"filter_metadata", b"envoy.filters.http.wasm", b"auth"))


def test_the_route_names_the_header(vm: Vm) -> None:
    for properties, headers, refused in (
        ({AUTH: b"cookie"}, {}, True),
        ({AUTH: b"cookie"}, {"cookie": "value"}, False),
        ({}, {}, False),
    ):
        exchange = vm.exchange(properties)
        exchange.request(headers)
        assert (exchange.downstream.status == 401) == refused
