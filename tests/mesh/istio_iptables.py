"""The rules by which Istio leads a pod's connections to its sidecar, as `istio-iptables` writes them, for IPv4 and IPv6."""

from __future__ import annotations

from dataclasses import dataclass

from tests.mesh.namespaces import Namespace

PROXY_UID = 1337
_MARK, _TABLE = "1337", "133"


@dataclass(frozen=True)
class _Family:
    restore: str
    flag: str
    loopback: str
    passthrough: str
    """The address from which a sidecar connects to the application of its own pod."""


_FAMILIES = [
    _Family("iptables-restore", "-4", "127.0.0.1/32", "127.0.0.6/32"),
    _Family("ip6tables-restore", "-6", "::1/128", "::6/128"),
]

_OUTBOUND = """\
*nat
-N ISTIO_INBOUND
-N ISTIO_REDIRECT
-N ISTIO_IN_REDIRECT
-N ISTIO_OUTPUT
-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_OUTPUT -o lo -s {passthrough} -j RETURN
-A ISTIO_OUTPUT -o lo ! -d {loopback} -p tcp ! --dport 15008 -m owner --uid-owner {uid} -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner {uid} -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner {uid} -j RETURN
-A ISTIO_OUTPUT -d {loopback} -j RETURN
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
"""

_INBOUND_REDIRECT = """\
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN
-A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN
-A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN
-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
COMMIT
"""

_INBOUND_TPROXY = """\
COMMIT
*mangle
-N ISTIO_DIVERT
-N ISTIO_TPROXY
-N ISTIO_INBOUND
-A ISTIO_DIVERT -j MARK --set-mark {mark}
-A ISTIO_DIVERT -j ACCEPT
-A ISTIO_TPROXY ! -d {loopback} -p tcp -j TPROXY --tproxy-mark {mark}/0xffffffff --on-port 15006
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A ISTIO_INBOUND -p tcp -m mark --mark {mark} -j RETURN
-A ISTIO_INBOUND -p tcp -s {passthrough} -i lo -j RETURN
-A ISTIO_INBOUND -p tcp -i lo -m mark ! --mark 1338 -j RETURN
-A ISTIO_INBOUND -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT
-A ISTIO_INBOUND -p tcp -j ISTIO_TPROXY
-A PREROUTING -p tcp -m mark --mark {mark} -j CONNMARK --save-mark
-A OUTPUT -p tcp -o lo -m mark --mark {mark} -j RETURN
-A OUTPUT ! -d {loopback} -p tcp -o lo -m owner --uid-owner {uid} -j MARK --set-mark 1338
-A OUTPUT -p tcp -m connmark --mark {mark} -j CONNMARK --restore-mark
COMMIT
"""


def redirect(pod: Namespace, tproxy: bool = False) -> None:
    """Gives a pod Istio's rules; `tproxy` is the interception mode TPROXY of what comes in."""
    rules = _OUTBOUND + (_INBOUND_TPROXY if tproxy else _INBOUND_REDIRECT)
    # The kernel has all of 127.0.0.0/8, but not this one.
    pod.ip("-6", "address", "replace", "::6/128", "dev", "lo")
    for family in _FAMILIES:
        text = rules.format(loopback=family.loopback, passthrough=family.passthrough, uid=PROXY_UID, mark=_MARK)
        pod.run(family.restore, "--noflush", stdin=text)
        if tproxy:
            pod.ip(family.flag, "rule", "add", "fwmark", _MARK, "lookup", _TABLE)
            pod.ip(family.flag, "route", "add", "local", "default", "dev", "lo", "table", _TABLE)


def clear(pod: Namespace) -> None:
    """Takes a pod's rules away."""
    for family in _FAMILIES:
        pod.run(family.restore, stdin="*nat\nCOMMIT\n*mangle\nCOMMIT\n")
