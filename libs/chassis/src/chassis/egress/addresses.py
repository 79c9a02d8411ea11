"""Which addresses belong to the public internet (IANA's special-purpose registries, RFC 6890)."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SPECIAL_V4 = tuple(
    IPv4Network(one)
    for one in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
UNICAST_V6 = IPv6Network("2000::/3")
"""The only part of IPv6 that is given out; NAT64, mapped, unique local, link-local and multicast lie outside."""
SPECIAL_V6 = tuple(
    IPv6Network(one)
    for one in (
        "2001::/23",  # protocols: Teredo, benchmarks, ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4, which has an IPv4 address inside
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""The upper half of an interface identifier that has an IPv4 address in its lower half (RFC 5214, section 6.1)."""
NEVER = tuple(
    ip_network(one)
    for one in (
        "0.0.0.0/8",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "fd00:ec2::/32",
        "fd20:ce::254/128",
        "fe80::/10",
        "ff00::/8",
    )
)
"""What no setting opens: link-local, multicast, and where machines of a cloud ask for their own credentials."""


def is_public(address: Address) -> bool:
    """Tell whether an address is one machine's on the public internet, without another address hidden inside it."""
    if not address.is_global or is_within(address, NEVER):
        return False
    if isinstance(address, IPv4Address):
        return not is_within(address, SPECIAL_V4)
    interface = int(address) >> 32 & 0xFFFF_FFFF
    return is_within(address, [UNICAST_V6]) and interface not in ISATAP and not is_within(address, SPECIAL_V6)


def is_within(address: Address, networks: Iterable[Network]) -> bool:
    """Tell whether an address is in one of the networks; one with a zone is in none."""
    is_scoped = isinstance(address, IPv6Address) and address.scope_id is not None
    return not is_scoped and any(address.version == one.version and address in one for one in networks)
