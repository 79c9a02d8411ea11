"""Opaque tokens: their form, and what is taken for one."""

import zlib

import pytest
from chassis.secret_tokens import ALPHABET, API_TOKEN, REFRESH_TOKEN, token_digest
from hypothesis import given
from hypothesis import strategies as st

FORMS = {"refresh": (REFRESH_TOKEN, "tlm_rt_", 43), "api": (API_TOKEN, "tlm_pat_", 32)}


def number_of(text):
    value = 0
    for digit in text:
        value = value * 62 + ALPHABET.index(digit)
    return value


@pytest.mark.parametrize("name", FORMS)
def test_r4_r14_a_token_is_its_prefix_random_base62_and_a_crc32(name):
    form, prefix, length = FORMS[name]
    tokens = {form.new() for _ in range(200)}
    assert len(tokens) == 200
    for token in tokens:
        body, checksum = token.removeprefix(prefix)[:length], token[-6:]
        assert token == prefix + body + checksum
        assert number_of(body) < 2**256
        assert number_of(checksum) == zlib.crc32(body.encode())
        assert form.fits(token)


def test_r14_an_api_token_has_more_than_160_random_bits():
    highest = max(number_of(API_TOKEN.new()[8:40]) for _ in range(64))
    assert highest > 2**180


@given(st.text(max_size=80))
def test_no_text_is_taken_for_a_token_and_none_crashes_the_check(text):
    for form, prefix, _ in FORMS.values():
        assert not form.fits(text)
        assert not form.fits(prefix + text)


@given(st.integers(0, 45), st.sampled_from(ALPHABET + "_-\u00e9 "))
def test_a_token_with_one_other_character_is_none(place, character):
    token = API_TOKEN.new()
    changed = token[:place] + character + token[place + 1 :]
    assert API_TOKEN.fits(changed) == (changed == token)


@pytest.mark.parametrize("character", ["-", "_", "/", ".", " ", "%", "+", "=", "\0"])
def test_a_character_of_another_alphabet_is_none_of_a_token_though_the_checksum_fits(character):
    for form, prefix, length in FORMS.values():
        body = API_TOKEN.new()[8:18].ljust(length - 1, "a") + character
        assert not form.fits(f"{prefix}{body}{checksum_of(body)}")
        assert form.fits(f"{prefix}{body[:-1]}b{checksum_of(body[:-1] + 'b')}")


def checksum_of(body):
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits


def test_no_sort_of_token_is_taken_for_another():
    assert not API_TOKEN.fits(REFRESH_TOKEN.new())
    assert not REFRESH_TOKEN.fits(API_TOKEN.new())


def test_a_digest_is_sha_256():
    assert token_digest("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
