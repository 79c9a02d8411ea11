"""The pure rules of sessions and addresses."""

from datetime import timedelta

import pytest
from auth_service.credentials.rules import counted_address, delay_after, network_of
from auth_service.sessions.rules import open_successor, seal_successor
from chassis.addresses import parse_email
from chassis.sealing import SealError
from chassis.secret_tokens import REFRESH_TOKEN
from hypothesis import given
from hypothesis import strategies as st


def test_r5_a_successor_opens_only_with_the_token_before_it():
    before, successor = REFRESH_TOKEN.new(), REFRESH_TOKEN.new()
    sealed = seal_successor(successor, under=before)
    assert open_successor(sealed, under=before) == successor
    assert len(sealed) <= 255
    with pytest.raises(SealError):
        open_successor(sealed, under=REFRESH_TOKEN.new())


def test_r10_delays():
    delays = [delay_after(failures).total_seconds() for failures in range(17)]
    assert delays == [0] * 6 + [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert delay_after(1_000_000) == timedelta(seconds=300)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        (None, "unknown"),
        ("example.com", "unknown"),
        ("192.0.2.7:80", "unknown"),
    ],
)
def test_r10_networks(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", None),
        (None, None),
        ("example.com", None),
    ],
)
def test_r22_what_counts_as_one_address(address, counted):
    assert counted_address(address) == counted


@given(st.text(max_size=60) | st.emails())
def test_r12_no_text_crashes_the_reading_of_an_address(text):
    address = parse_email(text)
    if address is not None:
        assert address.canonical.isascii()
        assert len(address.canonical) <= 254
        assert parse_email(address.display) == address
        assert parse_email(address.canonical).canonical == address.canonical
