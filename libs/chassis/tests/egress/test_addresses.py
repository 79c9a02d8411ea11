"""What counts as public, over the registries of IANA and what they are cut into."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from chassis.egress.addresses import is_public
from chassis.egress.rules import EgressRules, UrlNotAllowed
from chassis.egress.settings import EgressSettings
from chassis.settings import SettingsError
from hypothesis import given
from hypothesis import strategies as st

REGISTRIES = (
    # https://www.iana.org/assignments/iana-ipv4-special-registry
    "0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.9/32", "192.0.0.10/32", "192.0.0.170/32",
    "192.0.0.171/32", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.88.99.2/32",
    "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
    "255.255.255.255/32",
    # https://www.iana.org/assignments/multicast-addresses
    "224.0.0.0/4",
    # https://www.iana.org/assignments/iana-ipv6-special-registry
    "::1/128", "::/128", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64",
    "2001::/23", "2001::/32", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:2::/48", "2001:3::/32",
    "2001:4:112::/48", "2001:10::/28", "2001:20::/28", "2001:30::/28", "2001:db8::/32", "2002::/16",
    "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
    # deprecated, multicast, and everything that is not given out
    "::/96", "fec0::/10", "ff00::/8", "4000::/3", "6000::/3", "8000::/3", "a000::/3", "c000::/3", "e000::/4",
)  # fmt: skip
NETWORKS = [ip_network(one) for one in REGISTRIES]


@st.composite
def special_addresses(draw):
    network = draw(st.sampled_from(NETWORKS))
    first, last = int(network.network_address), int(network.broadcast_address)
    offset = draw(st.sampled_from([0, last - first]) | st.integers(0, last - first))
    return type(network.network_address)(first + offset)


@given(special_addresses())
def test_r62_nothing_special_is_public(address):
    assert not is_public(address)
    assert not is_public(IPv6Address(f"{address}%eth0")) if address.version == 6 else True


@given(st.ip_addresses(v=4))
def test_r62_no_address_is_public_inside_another(address: IPv4Address):
    number = int(address)
    hidden = [
        number,
        (0xFFFF << 32) + number,
        (0x64FF9B << 96) + number,
        (0x2002 << 112) + (number << 80),
        (0x20010000 << 96) + (number << 64),
        (0x20010000 << 96) + (number ^ 0xFFFFFFFF),
        (0x2600 << 112) + (0x5EFE << 32) + number,
        (0x2600 << 112) + (0x0200_5EFE << 32) + number,
    ]
    assert not any(is_public(IPv6Address(one)) for one in hidden)


@given(st.ip_addresses())
def test_r62_public_is_no_more_than_what_python_calls_global(address):
    assert not is_public(address) or (address.is_global and not address.is_multicast and not address.is_private)


@pytest.mark.parametrize("text", ["1.1.1.1", "93.184.215.14", "223.255.255.254", "2606:4700::1111", "2a00:1450::5e"])
def test_r62_the_internet_is_public(text):
    assert is_public(ip_address(text))


def test_r62_networks_are_opened_by_a_setting_but_metadata_never():
    rules = EgressSettings(
        allowed_networks=("0.0.0.0/0", "::/0"), allowed_ports=("80", "8000-8999"), allow_http=True
    ).rules(production=False)
    for host in ("10.0.0.1", "127.0.0.1", "[::1]", "[fd12::1]", "localhost", "hooks.corp.internal"):
        assert rules.target(f"http://{host}:8080/").port == 8080
    for host in ("169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "168.63.129.16", "100.100.100.200", "0.0.0.0"):  # noqa: S104 - not bound to
        with pytest.raises(UrlNotAllowed):
            rules.target(f"http://{host}/")
    with pytest.raises(UrlNotAllowed):
        rules.target("https://10.0.0.1/")


def test_r62_an_ipv4_network_does_not_open_what_is_mapped_into_ipv6():
    rules = EgressRules(networks=(ip_network("127.0.0.0/8"),))
    with pytest.raises(UrlNotAllowed):
        rules.target("https://[::ffff:127.0.0.1]/")


def test_r62_loopback_is_not_for_production():
    for network in ("127.0.0.0/8", "0.0.0.0/0", "::1/128"):
        with pytest.raises(SettingsError, match="EGRESS_ALLOWED_NETWORKS"):
            EgressSettings(allowed_networks=(network,)).rules(production=True)
    assert EgressSettings(allowed_networks=("10.0.0.0/8",)).rules(production=True).networks == (
        ip_network("10.0.0.0/8"),
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [("EGRESS_ALLOWED_NETWORKS", "10.0.0.1/8"), ("EGRESS_ALLOWED_NETWORKS", "lan"), ("EGRESS_ALLOWED_PORTS", "0"),
     ("EGRESS_ALLOWED_PORTS", "9-8"), ("EGRESS_ALLOWED_PORTS", "70000"), ("EGRESS_ALLOWED_PORTS", "https")],
)  # fmt: skip
def test_r62_a_setting_that_says_nothing_is_refused(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=variable):
        EgressSettings()
