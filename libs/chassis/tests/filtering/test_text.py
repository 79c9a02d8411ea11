"""D1: filters as text: what can be read, and where it stops being readable."""

import sys
from contextlib import suppress

import pytest
from chassis.errors import AppError
from chassis.filtering.binding import bind
from chassis.filtering.errors import FilterTooComplex, InvalidFilter
from chassis.filtering.guesses import BEFORE_THE_FIELD, NO_VALUE
from chassis.filtering.text import parse_text
from chassis.filtering.tree import OPERATORS as ALL_OPERATORS
from chassis.filtering.written import Condition, Group, Negation

OPERATORS = [
    *("`=`", "`!=`", "`<`", "`<=`", "`>`", "`>=`", "`in`", "`not_in`", "`has_any`", "`has_all`", "`has_none`"),
    *("`contains`", "`starts_with`", "`is_null`"),
]
BEGINNING = ["`not`", "`(`", "a field"]


def shape(node):
    """Return a written tree without its places."""
    if isinstance(node, Condition):
        return (node.field, node.operator, *(one.value for one in node.values))
    if isinstance(node, Negation):
        return ("not", shape(node.node))
    return (node.word, *(shape(one) for one in node.nodes))


def refusal(text):
    with pytest.raises(InvalidFilter) as caught:
        parse_text(text)
    (detail,) = caught.value.details
    assert (detail.code, detail.field) == ("INVALID_FILTER", "filter")
    return detail


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = b", ("a", "=", "b")),
        ("a=b", ("a", "=", "b")),
        ("a = b or c = d and e = f", ("or", ("a", "=", "b"), ("and", ("c", "=", "d"), ("e", "=", "f")))),
        ("(a = b or c = d) and e = f", ("and", ("or", ("a", "=", "b"), ("c", "=", "d")), ("e", "=", "f"))),
        ("not a = b and c = d", ("and", ("not", ("a", "=", "b")), ("c", "=", "d"))),
        ("NOT(a=b)AND(c=d)OR(e=f)", ("or", ("and", ("not", ("a", "=", "b")), ("c", "=", "d")), ("e", "=", "f"))),
        ("a = b and (c = d and e = f)", ("and", ("a", "=", "b"), ("c", "=", "d"), ("e", "=", "f"))),
        ("a In (b, c,d)", ("a", "in", "b", "c", "d")),
        ("a HAS_ANY (b)", ("a", "has_any", "b")),
        ("a is_null", ("a", "is_null")),
        ("a is_null true", ("a", "is_null")),
        ("a is_null FALSE and b = c", ("and", ("not", ("a", "is_null")), ("b", "=", "c"))),
        ("a >= today()+7d -1w", ("a", ">=", "today()+7d -1w")),
        ("a = now() 2h or b = c", ("or", ("a", "=", "now() 2h"), ("b", "=", "c"))),
        ('a contains "it\'s \\"so\\""', ("a", "contains", 'it\'s "so"')),
        ("a starts_with 'a\\\\b \"c\"'", ("a", "starts_with", 'a\\b "c"')),
        ("a = and and in = or", ("and", ("a", "=", "and"), ("in", "=", "or"))),
        ("a = notes or nota = b", ("or", ("a", "=", "notes"), ("nota", "=", "b"))),
        ('"a b" = c and more.x-y.z = 1', ("and", ("a b", "=", "c"), ("more.x-y.z", "=", "1"))),
        ("größe = ü\n\tand b = 2026-12-01T09:00:00+02:00", None),
        ("((((((a = b))))))", ("a", "=", "b")),
    ],
)
def test_d1_text_is_read_as_it_is_meant(text, expected):
    found = shape(parse_text(text))
    assert found == (expected or ("and", ("größe", "=", "ü"), ("b", "=", "2026-12-01T09:00:00+02:00")))


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 0, BEGINNING),
        ("   ", 3, BEGINNING),
        ("a", 1, OPERATORS),
        ("a ~ b", 2, OPERATORS),
        ("a like b", 2, OPERATORS),
        ("a =", 3, ["a value"]),
        ("a == b", 3, ["a value"]),
        ("a = [b]", 4, ["a value"]),
        ("a in b", 5, ["`(`"]),
        ("a in ()", 6, ["a value"]),
        ("a in (b c)", 8, ["`)`", "`,`"]),
        ("a = b c", 6, ["`and`", "`or`", "the end"]),
        ("a = b && c = d", 6, ["`and`", "`or`", "the end"]),
        ("a = b and", 9, BEGINNING),
        ("(a = b", 6, ["`)`", "`and`", "`or`"]),
        ("(a = b or c = d", 15, ["`)`", "`and`", "`or`"]),
        ("a = b)", 5, ["`and`", "`or`", "the end"]),
        ("1 = a", 0, BEGINNING),
        ("größe = 'ü and b = c", 8, ["a closing `'`"]),
        ('a = "\\"', 4, ['a closing `"`']),
        ("a is_null maybe", 10, ["`and`", "`or`", "`true`", "`false`", "the end"]),
    ],
)
def test_d1_what_can_not_be_read_is_told_with_its_place_and_what_may_stand_there(text, position, expected):
    detail = refusal(text)
    assert detail.position == position
    assert sorted(detail.expected) == sorted(expected)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("title containz milk", "did you mean contains?"),
        ("title CONTAINZ milk", "did you mean contains?"),
        ("a = b and (title startswith milk)", "did you mean starts_with?"),
        ("title like milk", "did you mean contains?"),
        ("labels has any (a)", "did you mean has_any?"),
        ("status not in (a)", "did you mean not_in?"),
        ("status is todo", "did you mean =?"),
        ("status is not todo", "did you mean !=?"),
        ("title not contains milk", BEFORE_THE_FIELD),
        ("(due is null)", NO_VALUE),
        ("due is not null", NO_VALUE),
        ("due is_not_null", NO_VALUE),
        ("due IS NULL", NO_VALUE),
        ("due isnul", "did you mean is_null?"),
        ("due", None),
        ("due ~ x", None),
        (f"due {'x' * 4000}", None),
    ],
)
def test_d1_what_is_no_operator_is_told_with_the_one_that_was_meant_and_all_there_are(text, hint):
    detail = refusal(text)
    assert (detail.hint, detail.allowed) == (hint, ALL_OPERATORS)
    assert sorted(detail.expected) == sorted(OPERATORS)


@pytest.mark.parametrize("text", ["a =", "a in b", "a = b c", "", "a is_null maybe"])
def test_d1_operators_are_told_where_one_may_stand_alone(text):
    assert (refusal(text).hint, refusal(text).allowed) == (None, None)


def test_d1_positions_are_characters_of_the_text():
    found = parse_text("ü = 😀 or not éa in (x, y)")
    assert isinstance(found, Group)
    first, second = found.nodes
    assert (first.place.position, first.operator_place.position, first.values[0].place.position) == (0, 2, 4)
    assert (second.node.place.position, [one.place.position for one in second.node.values]) == (13, [20, 23])


def nested(levels):
    word = "and" if levels % 2 else "or"
    return f"c = d {word} a = b" if levels == 1 else f"c = d {word} ({nested(levels - 1)})"


def test_d1_six_words_may_be_around_each_other_and_no_more():
    assert parse_text(nested(6)).depth == 6
    with pytest.raises(FilterTooComplex, match="At most 6"):
        parse_text(nested(7))


def test_d1_fifty_predicates_may_be_in_a_filter_and_a_hundred_values_in_one():
    assert parse_text(" or ".join(["a = b"] * 50)).size == 50
    assert len(parse_text(f"a in ({','.join('b' * 100)})").values) == 100
    with pytest.raises(FilterTooComplex, match="50 predicates"):
        parse_text(" or ".join(["a = b"] * 51))
    with pytest.raises(FilterTooComplex, match="50 predicates"):
        parse_text(" and ".join(["(a = b or c = d)"] * 26))
    with pytest.raises(FilterTooComplex, match="100 values"):
        parse_text(f"a in ({','.join('b' * 101)})")


def test_d1_the_length_is_that_of_the_bytes():
    assert parse_text(f"a = {'ü' * 2046}").size == 1
    with pytest.raises(FilterTooComplex, match="4096 bytes"):
        parse_text(f"a = {'ü' * 2047}")


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("a = b", 0),
        ("(a in (b))", 1),
        ("((a = b))", 2),
        ("a = b and c = d", 1),
        ("(a = b and c = d)", 1),
        ("((a = b and c = d))", 2),
        ("a = b and (c = d and (e = f and g = h))", 3),
        ("(a = b or c = d) and e = f", 2),
        ("((a = b or c = d)) and e = f", 3),
        ("a = b or c = d and not e = f", 3),
        ("not a = b", 1),
        ("not (a = b)", 1),
        ("not ((a = b))", 2),
        ("(not a = b)", 2),
        ("not (a = b or c = d)", 2),
        ("not ((a = b or c = d))", 2),
        ("not not (a = b)", 2),
        ("a is_null false", 1),
    ],
)
def test_d1_depth_is_that_of_what_is_written(text, depth):
    assert parse_text(text).depth == depth


@pytest.mark.parametrize(("before", "behind"), [("(", ")"), ("not (", ")"), ("not ", ""), ("(c = d or ", ")")])
def test_d1_six_levels_may_be_written_and_no_more(before, behind):
    assert parse_text(before * 6 + "a in (b)" + behind * 6).depth == 6
    for levels in (7, 8, 30):
        with pytest.raises(FilterTooComplex, match="At most 6"):
            parse_text(before * levels + "a in (b)" + behind * levels)


HOSTILE = [
    "(" * 4096,
    "not " * 1024,
    "not " * 1000 + "a = b",
    "not(" * 800 + "a=b" + ")" * 800,
    "(a=b or c=d and " * 250,
    "(" * 2040 + "a=b" + ")" * 2040,
    '"' * 4096,
    "'\\" * 2048,
    "x" * 4096,
    "a=" + "today()" * 580,
    "a=today()" + "+1d" * 1300,
    "a=today()" + " " * 4000 + "x",
    "bought=today()" + "+1d" * 160,
    "bought=today()" + " " * 4000 + "+",
    "a=" + "_" * 4000 + "(",
    "a in (" + "b," * 2000,
    "a=b or " * 585,
    "size in (" + ",".join(["hgih"] * 90) + ")" + f" or size in ({','.join('x' * 90)})" * 19,
    " or ".join(f"{letter * 60} = 1" for letter in "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwx"),
    " or ".join(["bought = todai()"] * 50),
    "more." + "a." * 1000 + "b = 1",
    "\x00" * 4096,
    "\ud800" * 1000,
    " " * 4096,
    "٣" * 2000,
]
MOST_CALLS = 60_000
"""Of functions: what is read and bound in some milliseconds."""


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_d1_whatever_is_sent_is_read_or_refused_and_never_much_work(text, table, berlin):
    parse_text("a = b")
    calls = 0

    def count(_frame, event, _argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        with suppress(AppError):
            bind(parse_text(text), table, berlin)
    finally:
        sys.setprofile(None)
    assert calls < MOST_CALLS
