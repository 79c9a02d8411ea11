"""Cursors: what was signed comes back, and nothing else is believed."""

import base64
from uuid import UUID

import pytest
from chassis.cursors import MAX_CURSOR_CHARACTERS, CursorSigner
from chassis.errors import AppError, CursorMismatch, InvalidCursor
from hypothesis import given
from hypothesis import strategies as st

SIGNER = CursorSigner("a secret of the tests, long enough")
HEADS = {UUID(int=1): 7, UUID(int=2): 2**63}
QUERY = b"status=todo&sort=due"


@given(heads=st.dictionaries(st.uuids(), st.integers(0, 2**64 - 1), max_size=20))
def test_a_position_comes_back(heads):
    assert SIGNER.read_position(SIGNER.position(heads)) == heads


@given(
    query=st.binary(),
    after=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"]))),
    backwards=st.booleans(),
)
def test_a_place_in_a_list_comes_back(query, after, backwards):
    cursor = SIGNER.page(query=query, after=after, backwards=backwards)
    assert SIGNER.read_page(cursor, query=query) == (after, backwards)


@pytest.mark.parametrize("cursor", [SIGNER.position(HEADS), SIGNER.page(query=QUERY, after=["2026-11-25", None])])
def test_every_flipped_bit_is_noticed(cursor):
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        text = base64.urlsafe_b64encode(bytes(changed)).rstrip(b"=").decode()
        with pytest.raises(InvalidCursor):
            SIGNER.read_position(text)
        with pytest.raises(InvalidCursor):
            SIGNER.read_page(text, query=QUERY)


def test_every_other_spelling_of_the_same_bytes_is_refused():
    cursor = SIGNER.position({UUID(int=1): 7})
    assert len(cursor) % 4 == 2
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    others = {cursor[:-1] + character for character in last} - {cursor}
    for text in [*others, cursor + "==", cursor + "=", f" {cursor}", f"{cursor}\n", cursor[:5] + "\n" + cursor[5:]]:
        with pytest.raises(InvalidCursor):
            SIGNER.read_position(text)


def test_a_cursor_of_one_purpose_is_none_of_another():
    with pytest.raises(InvalidCursor):
        SIGNER.read_page(SIGNER.position(HEADS), query=QUERY)
    with pytest.raises(InvalidCursor):
        SIGNER.read_position(SIGNER.page(query=QUERY, after=[]))


def test_a_cursor_of_another_query_or_secret_is_refused():
    cursor = SIGNER.page(query=QUERY, after=["a"])
    with pytest.raises(CursorMismatch):
        SIGNER.read_page(cursor, query=b"status=done&sort=due")
    with pytest.raises(InvalidCursor):
        CursorSigner("another secret of the tests, long").read_page(cursor, query=QUERY)


@given(text=st.text())
def test_any_text_is_refused_as_a_cursor(text):
    with pytest.raises(InvalidCursor):
        SIGNER.read_position(text)


def test_a_very_long_text_is_refused_before_it_is_decoded():
    with pytest.raises(AppError) as caught:
        SIGNER.read_position("A" * (MAX_CURSOR_CHARACTERS + 1))
    assert caught.value.details[0].field == "cursor"
