"""R29: what one parser would take and another refuse is refused; all else parses as it was meant."""

import json
from contextlib import suppress

import pytest
from chassis.errors import AppError
from chassis.web.strict_json import (
    INT64_MAX,
    INT64_MIN,
    MAX_DEPTH,
    MAX_VALUES,
    check_content_type,
    parse_json,
)
from hypothesis import given
from hypothesis import strategies as st

DEEPEST = b"[" * (MAX_DEPTH - 1) + b"1" + b"]" * (MAX_DEPTH - 1)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MALFORMED_JSON"),
        (b"{", "MALFORMED_JSON"),
        (b"{} {}", "MALFORMED_JSON"),
        (b"{'a':1}", "MALFORMED_JSON"),
        (b'{"a":1,}', "MALFORMED_JSON"),
        (b'{"a":01}', "MALFORMED_JSON"),
        (b'{"a":NaN}', "MALFORMED_JSON"),
        (b'{"a":Infinity}', "MALFORMED_JSON"),
        (b'{"a":-Infinity}', "MALFORMED_JSON"),
        (b'{"a":1e999}', "MALFORMED_JSON"),
        (b'{"a":"\\ud800"}', "MALFORMED_JSON"),
        (b'{"\\udfff":1}', "MALFORMED_JSON"),
        (b'{"a":"\xff"}', "MALFORMED_JSON"),
        (b'\xef\xbb\xbf{"a":1}', "MALFORMED_JSON"),
        (b'{"a":"\n"}', "MALFORMED_JSON"),
        (b'{"a":1,"a":1}', "MALFORMED_JSON"),
        (b'[{"b":{"a":1,"\\u0061":2}}]', "MALFORMED_JSON"),
        (b"[" + DEEPEST + b"]", "MALFORMED_JSON"),
        (b"[" * 900 + b"{}" + b"]" * 900, "MALFORMED_JSON"),
        (b"[" * 1000 + b"]" * 1000, "MALFORMED_JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "MALFORMED_JSON"),
        (b'{"a":' + b"[" * 1000 + b"]" * 1000 + b',"a":1}', "MALFORMED_JSON"),
        (b"[" + b"1," * MAX_VALUES + b"1]", "MALFORMED_JSON"),
        (b'{"a":"x\\u0000y"}', "NULL_CHARACTER"),
        (b'{"\\u0000":1}', "NULL_CHARACTER"),
        (b'{"a":%d}' % (INT64_MAX + 1), "NUMBER_OUT_OF_RANGE"),
        (b'{"a":%d}' % (INT64_MIN - 1), "NUMBER_OUT_OF_RANGE"),
        (b"18446744073709551616", "NUMBER_OUT_OF_RANGE"),
        (b'{"a":12345678901234567890123456789}', "NUMBER_OUT_OF_RANGE"),
        (b'{"a":%b}' % (b"9" * 300), "NUMBER_OUT_OF_RANGE"),
        (b'{"a":%b}' % (b"9" * 5000), "MALFORMED_JSON"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_r29_refused(body, code):
    with pytest.raises(AppError) as caught:
        parse_json(body)
    assert caught.value.code == code


def test_r29_the_place_of_a_bad_value_is_named():
    with pytest.raises(AppError) as caught:
        parse_json(b'{"a":[{"b":"x\\u0000"}]}')
    assert [(detail.field, detail.code) for detail in caught.value.details] == [("a.0.b", "NULL_CHARACTER")]
    with pytest.raises(AppError) as caught:
        parse_json(b'{"a":\n  oops}')
    assert caught.value.details[0].hint == "at line 2, column 3"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"null", None),
        (b'{"a":%d,"b":%d}' % (INT64_MAX, INT64_MIN), {"a": INT64_MAX, "b": INT64_MIN}),
        (b"1e30", 1e30),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'{"a":{"a":1},"b":{"a":1}}', {"a": {"a": 1}, "b": {"a": 1}}),
    ],
)
def test_r29_taken(body, value):
    assert parse_json(body) == value


def test_r29_limits_are_inclusive():
    assert json.dumps(parse_json(DEEPEST)).encode() == DEEPEST
    assert len(parse_json(b"[" + b"1," * (MAX_VALUES - 2) + b"1]")) == MAX_VALUES - 1


ANY_TEXT = st.text(st.characters(exclude_categories=[]))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
)


def is_acceptable(value):
    if isinstance(value, dict):
        return all(is_acceptable(key) and is_acceptable(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(is_acceptable, value))
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, float):
        return value - value == 0
    return not isinstance(value, int) or INT64_MIN <= value <= INT64_MAX


@given(value=ANYTHING, escaped=st.booleans())
def test_r29_whatever_json_can_say_parses_equal_or_is_refused(value, escaped):
    body = json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    try:
        parsed = parse_json(body)
    except AppError:
        assert not is_acceptable(value)
    else:
        assert is_acceptable(value)
        assert parsed == value


@given(body=st.binary() | st.text('[]{},:"\\u0d8ae1-.nul ').map(str.encode))
def test_r29_any_bytes_parse_or_are_refused(body):
    with suppress(AppError):
        parse_json(body)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/merge-patch+json",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
    ],
)
def test_r29_content_types_that_are_taken(content_type):
    check_content_type(content_type, None)
    check_content_type(content_type, "Identity")


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        (None, None),
        ("", None),
        ("text/plain", None),
        ("application/x-www-form-urlencoded", None),
        ("application/json; charset=latin-1", None),
        ("application/json; profile=x", None),
        ("application/problem+json", None),
        ("application/json", "gzip"),
        ("application/json", "identity, gzip"),
    ],
)
def test_r29_content_types_and_encodings_that_are_refused(content_type, encoding):
    with pytest.raises(AppError) as caught:
        check_content_type(content_type, encoding)
    assert caught.value.code == "UNSUPPORTED_MEDIA_TYPE"
