"""The pure rules of sessions and addresses."""

import zlib
from datetime import timedelta

import pytest
from auth_service.sessions.rules import (
    ALPHABET,
    delay_after,
    is_refresh_token,
    network_of,
    new_refresh_token,
    open_successor,
    seal_successor,
)
from auth_service.users.rules import parse_email
from chassis.sealing import SealError
from hypothesis import given
from hypothesis import strategies as st


def number_of(text):
    value = 0
    for digit in text:
        value = value * 62 + ALPHABET.index(digit)
    return value


def test_r4_a_token_is_its_prefix_32_bytes_in_base62_and_their_crc32():
    tokens = {new_refresh_token() for _ in range(200)}
    assert len(tokens) == 200
    for token in tokens:
        prefix, body, checksum = token[:7], token[7:50], token[50:]
        assert (prefix, len(body), len(checksum)) == ("tlm_rt_", 43, 6)
        assert number_of(body) < 2**256
        assert number_of(checksum) == zlib.crc32(body.encode())
        assert is_refresh_token(token)


@given(st.text(max_size=80))
def test_r4_no_text_is_taken_for_a_token_and_none_crashes_the_check(text):
    assert not is_refresh_token(text)
    assert not is_refresh_token("tlm_rt_" + text)


@given(st.integers(0, 55), st.sampled_from(ALPHABET + "_-\u00e9 "))
def test_r4_a_token_with_one_other_character_is_none(place, character):
    token = new_refresh_token()
    changed = token[:place] + character + token[place + 1 :]
    assert is_refresh_token(changed) == (changed == token)


def test_r5_a_successor_opens_only_with_the_token_before_it():
    before, successor = new_refresh_token(), new_refresh_token()
    sealed = seal_successor(successor, under=before)
    assert open_successor(sealed, under=before) == successor
    assert len(sealed) <= 255
    with pytest.raises(SealError):
        open_successor(sealed, under=new_refresh_token())


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


@given(st.text(max_size=60) | st.emails())
def test_r12_no_text_crashes_the_reading_of_an_address(text):
    address = parse_email(text)
    if address is not None:
        assert address.canonical.isascii()
        assert len(address.canonical) <= 254
        assert parse_email(address.display) == address
        assert parse_email(address.canonical).canonical == address.canonical
