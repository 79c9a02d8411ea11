"""D1: filters as JSON, and what is wrong with those that are none, by a pointer into them."""

import pytest
from chassis.filtering.documents import parse_document, parse_filter
from chassis.filtering.errors import FilterTooComplex, InvalidFilter
from chassis.filtering.text import parse_text
from chassis.filtering.written import Condition, Negation

A = {"field": "a", "op": "=", "value": "b"}


def test_d1_json_is_read_with_pointers_to_its_parts():
    found = parse_document({"and": [A, {"not": {"field": "c", "op": "IN", "value": [1, 2.5, True]}}]})
    second = found.nodes[1]
    assert (found.word, found.depth, found.size) == ("and", 2, 2)
    assert isinstance(second, Negation)
    assert [one.value for one in second.node.values] == [1, 2.5, True]
    assert [one.place.pointer for one in second.node.values] == [f"/and/1/not/value/{index}" for index in range(3)]
    assert (second.node.operator, second.node.operator_place.pointer) == ("in", "/and/1/not/op")


@pytest.mark.parametrize(("given", "negated"), [({}, False), ({"value": True}, False), ({"value": False}, True)])
def test_d1_is_null_may_say_whether(given, negated):
    found = parse_document({"field": "a", "op": "is_null", **given})
    assert isinstance(found, Negation if negated else Condition)


def test_d1_text_is_taken_where_json_is():
    assert parse_filter("a = b") == parse_text("a = b")
    assert parse_filter(A) == parse_document(A)


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        (None, ""),
        ([], ""),
        (5, ""),
        ({}, ""),
        ({"and": []}, "/and"),
        ({"and": {}}, "/and"),
        ({"and": [A], "or": [A]}, ""),
        ({"nor": [A]}, ""),
        ({"or": [A, None]}, "/or/1"),
        ({"not": [A]}, "/not"),
        ({**A, "and": []}, "/and"),
        ({**A, "a/~b": 1}, "/a~1~0b"),
        ({"field": "a"}, ""),
        ({"field": "a", "op": "="}, ""),
        ({"field": 5, "op": "=", "value": 5}, "/field"),
        ({"field": "a", "op": None, "value": 5}, "/op"),
        ({"field": "a", "op": "=", "value": None}, "/value"),
        ({"field": "a", "op": "=", "value": ["b"]}, "/value"),
        ({"field": "a", "op": "in", "value": "b"}, "/value"),
        ({"field": "a", "op": "in", "value": []}, "/value"),
        ({"field": "a", "op": "in", "value": ["b", {}]}, "/value/1"),
        ({"field": "a", "op": "is_null", "value": "yes"}, "/value"),
    ],
)
def test_d1_what_is_no_filter_is_told_with_its_place(value, pointer):
    with pytest.raises(InvalidFilter) as caught:
        parse_document(value)
    (detail,) = caught.value.details
    assert (detail.field, detail.pointer, detail.position) == ("filter", pointer, None)
    assert detail.expected


@pytest.mark.parametrize(
    ("member", "hint"),
    [("operator", "did you mean op?"), ("Valuex", "did you mean value?"), ("x", None)],
)
def test_d1_a_member_that_there_is_not_is_told_with_the_one_that_was_meant(member, hint):
    with pytest.raises(InvalidFilter) as caught:
        parse_document({"or": [A, {"field": "a", member: "=", "value": 1}]})
    [detail] = caught.value.details
    assert (detail.pointer, detail.hint, detail.allowed) == (f"/or/1/{member}", hint, ("field", "op", "value"))


@pytest.mark.parametrize("op", ["is not null", "containz"])
def test_d1_what_is_no_operator_needs_no_value_to_be_told_of(op):
    assert parse_document({"field": "a", "op": op}).operator == op


def test_d1_what_is_no_operator_is_read_and_told_of_later_with_those_that_are():
    assert parse_document({"field": "a", "op": "between", "value": [1, 2]}).operator == "between"


def within(levels, *, word="not"):
    value = A
    for _ in range(levels):
        value = {"not": value} if word == "not" else {word: [value]}
    return value


def test_d1_json_has_the_limits_of_text():
    for word in ("not", "and", "or"):
        assert parse_document(within(6, word=word)).depth == 6
        with pytest.raises(FilterTooComplex, match="At most 6"):
            parse_document(within(7, word=word))
    pairs = A
    for _ in range(6):
        pairs = {"and": [A, pairs]}
    assert (parse_document(pairs).depth, len(parse_document(pairs).nodes)) == (6, 7)
    with pytest.raises(FilterTooComplex):
        parse_document({"and": [A, pairs]})
    with pytest.raises(FilterTooComplex):
        parse_document(within(5000, word="or"))
    with pytest.raises(FilterTooComplex):
        parse_document({"or": [A] * 51})
    with pytest.raises(FilterTooComplex):
        parse_document({"field": "a", "op": "in", "value": ["b"] * 101})
    with pytest.raises(FilterTooComplex):
        parse_document({"field": "a", "op": "=", "value": "b" * 4096})
