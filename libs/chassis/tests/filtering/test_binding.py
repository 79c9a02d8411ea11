"""D1, D2: what filters mean by the fields that they are of, and all that is wrong with their meaning at once."""

from datetime import UTC, date, datetime
from uuid import UUID

import orjson
import pytest
from chassis.errors import ErrorKind, InvalidInput
from chassis.filtering.binding import bind, needs_now, needs_zone
from chassis.filtering.documents import parse_document
from chassis.filtering.errors import InvalidFilter
from chassis.filtering.guesses import NEVER_EMPTY, NO_VALUE
from chassis.filtering.parameters import flat_parameters, parse_parameters
from chassis.filtering.text import parse_text
from chassis.filtering.tree import And, Not, Or, Predicate
from chassis.web.envelope import failure_body

AN_ID = UUID("0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11")
OTHER = UUID("0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a12")


@pytest.fixture
def meaning(table, berlin):
    return lambda text: bind(parse_text(text), table, berlin)


@pytest.fixture
def problems(table, berlin):
    def find(written):
        with pytest.raises(InvalidInput) as caught:
            bind(written, table, berlin)
        assert caught.value.kind is ErrorKind.INVALID
        return caught.value.details

    return find


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"id = {str(AN_ID).upper()}", Predicate("id", "=", (AN_ID,))),
        ("state != open", Predicate("state", "!=", ("open",))),
        ("size >= low", Predicate("size", ">=", ("low",))),
        ("kind is_null", Predicate("kind", "is_null")),
        ("kind is_null false", Not(Predicate("kind", "is_null"))),
        ("title contains 5", Predicate("title", "contains", ("5",))),
        ('title = "today()"', Predicate("title", "=", ("today()",))),
        ("pages < -5", Predicate("pages", "<", (-5,))),
        ("pages = 5.0", Predicate("pages", "=", (5,))),
        ("pages = 9223372036854775807", Predicate("pages", "=", (2**63 - 1,))),
        ("weight = 5.5e-1", Predicate("weight", "=", (0.55,))),
        ("is_lost = TRUE", Predicate("is_lost", "=", (True,))),
        ("more.a.b = 5", Predicate("more.a.b", "=", (5,))),
        ('more.a.b = "5"', Predicate("more.a.b", "=", ("5",))),
        ("more.a.b in (true, 1, 1.0, x)", Predicate("more.a.b", "in", (True, 1, "x"))),
        ("reader in (me)", Predicate("readers", "=", (UUID("0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03"),))),
        (f"reader in ({AN_ID}, {OTHER})", Predicate("readers", "has_any", (AN_ID, OTHER))),
        (f"readers not_in ({AN_ID}, {OTHER})", Predicate("readers", "has_none", (AN_ID, OTHER))),
        (f"readers has_all ({AN_ID}, {OTHER}, {AN_ID})", Predicate("readers", "has_all", (AN_ID, OTHER))),
        (f"readers has_none ({AN_ID})", Predicate("readers", "!=", (AN_ID,))),
        ("size in (low, low)", Predicate("size", "=", ("low",))),
        ("bought_on = 2026-12-01", Predicate("bought", "=", (date(2026, 12, 1),))),
        ("bought = 2026-12-01T23:30:00Z", Predicate("bought", "=", (date(2026, 12, 2),))),
        ("back = today()", Predicate("back", "=", (date(2026, 11, 27),))),
        ("read_at = today()", Predicate("read_at", "=", (date(2026, 11, 27),))),
        (
            "read_at > 2026-12-01T09:00:00+02:00",
            Predicate("read_at", ">", (datetime(2026, 12, 1, 7, tzinfo=UTC),)),
        ),
        ("not not state = open", Predicate("state", "=", ("open",))),
        (
            "not (state = open and (state = a and state = b)) or state = c",
            Or(
                (
                    Not(And(tuple(Predicate("state", "=", (one,)) for one in ("open", "a", "b")))),
                    Predicate("state", "=", ("c",)),
                )
            ),
        ),
    ],
)
def test_d1_a_filter_means_the_same_however_it_is_written(meaning, text, expected):
    assert meaning(text) == expected


def test_d1_everything_that_is_wrong_is_told_at_once_with_its_place(problems):
    found = problems(
        parse_text("stat = a and not kind = bigg or size contains low and read_at < 2026-12-01T09:00:00 or id is_null")
    )
    assert [(one.code, one.position, one.hint) for one in found] == [
        ("UNKNOWN_FIELD", 0, "did you mean state?"),
        ("VALUE_NOT_ALLOWED", 24, "did you mean big?"),
        ("OPERATOR_NOT_ALLOWED", 37, None),
        ("TIMEZONE_REQUIRED", 64, None),
        ("OPERATOR_NOT_ALLOWED", 90, "it is never empty"),
    ]
    assert {one.field for one in found} == {"filter"}
    assert found[0].allowed[:3] == ("back", "bought", "id")
    assert found[1].allowed == ("big", "small")
    assert found[2].allowed == ("=", "!=", "in", "not_in", "<", "<=", ">", ">=")


def test_d1_what_is_wrong_in_json_is_told_with_pointers(problems):
    found = problems(
        parse_document(
            {
                "or": [
                    {"field": "kind", "op": "between", "value": ["a", "b"]},
                    {"field": "size", "op": "in", "value": ["low", "lower"]},
                    {"field": "colour", "op": "=", "value": 1},
                ]
            }
        )
    )
    assert [(one.code, one.pointer) for one in found] == [
        ("OPERATOR_NOT_ALLOWED", "/or/0/op"),
        ("VALUE_NOT_ALLOWED", "/or/1/value/1"),
        ("UNKNOWN_FIELD", "/or/2/field"),
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "5"),
        ("id", "{0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11}"),
        ("id", 5),
        ("owner", "you"),
        ("state", "Open"),
        ("state", True),
        ("size", "LOW"),
        ("title", 5),
        ("title", "a\0b"),
        ("title", "a" * 501),
        ("pages", "5"),
        ("pages", True),
        ("pages", 5.5),
        ("pages", 2**63),
        ("pages", float(2**63)),
        ("weight", "5.5"),
        ("is_lost", "true"),
        ("is_lost", 1),
        ("bought", "1969-12-31"),
        ("bought", "2101-01-01"),
        ("bought", "2100-12-31T23:30:00Z"),
        ("bought", "2026-02-30"),
        ("bought", "20261201"),
        ("bought", 20261201),
        ("bought", "yesterday"),
        ("bought", "tomorow()"),
        ("bought", "today()+1x"),
        ("bought", "today()+99999999999999999999d"),
        ("bought", "today()+999999999w"),
        ("bought", "today()-3000y"),
        ("bought", "today()+8000y"),
        ("bought", "now()+999999999h"),
        ("read_at", "2026-12-01T25:00:00Z"),
        ("read_at", "0001-01-01T00:00:00+23:59"),
        ("read_at", "9999-12-31T23:59:59-23:59"),
        ("back", True),
        ("more.x", "\0"),
        ("more.x", 2**63),
    ],
)
def test_d1_what_is_no_value_of_a_field_is_refused_and_never_repeated(problems, field, value):
    (detail,) = problems(parse_document({"field": field, "op": "=", "value": value}))
    assert (detail.code, detail.pointer) == ("VALUE_NOT_ALLOWED", "/value")
    assert len(str(value)) < 5 or str(value) not in detail.message


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "1e30", "0x10", "1_000", "٣", "--5", "5." + "1" * 40])
def test_d1_a_word_that_is_no_number_is_none(problems, value):
    (detail,) = problems(parse_text(f"weight = {value}"))
    assert detail.code == "VALUE_NOT_ALLOWED"


def test_d1_a_quoted_text_is_no_number_and_no_boolean(problems):
    found = problems(parse_text('pages = "5" or is_lost = "true"'))
    assert [one.code for one in found] == ["VALUE_NOT_ALLOWED", "VALUE_NOT_ALLOWED"]


@pytest.mark.parametrize(
    ("field", "op", "hint"),
    [
        ("title", "containz", "did you mean contains?"),
        ("title", "like", "did you mean contains?"),
        ("pages", "gte", "did you mean >=?"),
        ("pages", "=>", "did you mean >=?"),
        ("pages", "containz", None),
        ("readers", "has-any", "did you mean has_any?"),
        *(("back", op, NO_VALUE) for op in ("is null", "is not null", "IS_NOT_NULL", "not null")),
        ("back", "isnul", "did you mean is_null?"),
        ("size", "is null", NEVER_EMPTY),
        ("title", "", None),
        ("title", "x" * 4000, None),
    ],
)
def test_d1_a_misspelt_operator_is_told_with_the_one_of_the_field_that_was_meant(problems, table, field, op, hint):
    for more in ({}, {"value": 1}):
        (detail,) = problems(parse_document({"field": field, "op": op, **more}))
        assert (detail.code, detail.pointer, detail.hint) == ("OPERATOR_NOT_ALLOWED", "/op", hint)
        assert detail.allowed == table[field].operators


@pytest.mark.parametrize("text", ["back = null", "back != NULL", "owner = none", "readers = none", "pages in (1, nil)"])
def test_d1_what_stands_for_no_value_is_told_with_what_finds_that(problems, text):
    (detail,) = problems(parse_text(text))
    assert (detail.code, detail.hint) == ("VALUE_NOT_ALLOWED", NO_VALUE)


def test_d1_of_what_is_never_empty_no_emptiness_is_told(problems):
    assert [one.hint for one in problems(parse_text("id = none or is_lost = null or owner = nobody"))] == [None] * 3


def test_d1_few_operators_are_guessed_at(problems):
    found = problems(parse_document({"or": [{"field": "title", "op": "containz"}] * 50}))
    assert sum(one.hint is not None for one in found) == 10


@pytest.mark.parametrize("text", ["more.x contains 5", "more.x starts_with true", "more.x < true"])
def test_b11_operators_take_scalars_of_their_kind(problems, text):
    (detail,) = problems(parse_text(text))
    assert detail.code == "VALUE_NOT_ALLOWED"


def test_d1_however_much_is_wrong_fifty_things_are_told_and_few_are_guessed_at(problems):
    found = problems(parse_text(f"size in ({','.join('x' * 100)}) or colour = 1"))
    assert len(found) == 50
    found = problems(parse_text(" or ".join(f"stat{index} = 1" for index in range(50))))
    assert sum(one.hint is not None for one in found) == 10


def told(refusal):
    return orjson.loads(failure_body(refusal))["errors"]


def test_d1_places_are_in_the_envelope(table, berlin):
    with pytest.raises(InvalidFilter) as unread:
        parse_text("state =")
    with pytest.raises(InvalidInput) as wrong:
        bind(parse_document({"not": {"field": "size", "op": "=", "value": "hihg"}}), table, berlin)
    assert told(unread.value) == [
        {
            "field": "filter",
            "code": "INVALID_FILTER",
            "message": "The filter can't be read: here a value is expected.",
            "position": 7,
            "expected": ["a value"],
        }
    ]
    assert told(wrong.value) == [
        {
            "field": "filter",
            "code": "VALUE_NOT_ALLOWED",
            "message": "This field is compared with one of its values.",
            "hint": "did you mean high?",
            "pointer": "/not/value",
            "allowed": ["none", "low", "high"],
        }
    ]


def test_d1_flat_parameters_are_joined_by_and_and_their_values_by_or(table, berlin, meaning):
    given = {
        "state": ["open", "shut,lost"],
        "reader": ["me,none"],
        "size": ["none,low"],
        "kind": ["none"],
        "title": ["a,b", "none"],
        "bought_on": ["today()"],
        "back_before": ["2026-12-01,now() 2h"],
        "read_at_after": ["2026-12-01T09:00:00 02:00"],
        "page": ["5"],
        "pages": [],
    }
    assert bind(parse_parameters(given, table), table, berlin) == meaning(
        "state in (open, shut, lost) and (reader = me or reader is_null) and size in (none, low) and kind is_null "
        'and title in ("a,b", none) and bought = today() and (back < 2026-12-01 or back < now()+2h) '
        "and read_at > 2026-12-01T07:00:00Z"
    )


def test_d1_what_is_wrong_with_a_parameter_is_told_by_its_name(problems, table):
    found = problems(parse_parameters({"size": ["low,mid"], "bought_on_before": ["x"]}, table))
    assert [(one.code, one.field, one.position, one.pointer) for one in found] == [
        ("VALUE_NOT_ALLOWED", "size", None, None),
        ("VALUE_NOT_ALLOWED", "bought_on_before", None, None),
    ]


def test_d1_only_days_instants_and_dues_have_before_and_after(table):
    names = set(flat_parameters(table))
    assert {"bought", "bought_on_after", "read_at_before", "back_before", "reader", "readers"} <= names
    assert not {"pages_before", "size_after", "more.x"} & names
    assert parse_parameters({"page": ["1"]}, table) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("state = open", False),
        ("bought = 2026-12-01", False),
        ("read_at > 2026-12-01T09:00:00Z", False),
        ("bought = today()", True),
        ("read_at < now() -1h", True),
        ("state = open or not back = TODAY()+1d", True),
        ("back < 2026-12-01T09:00:00Z", False),
        ("colour = today()", False),
    ],
)
def test_d3_what_is_relative_to_now_depends_on_when_it_is_asked(table, text, expected):
    assert needs_now(parse_text(text), table) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("state = open", False),
        ("colour = today()", True),
        ("bought = 2026-12-01", True),
        ("read_at > 2026-12-01T09:00:00Z", True),
        ("state = open or not back = TODAY()+1d", True),
        ("state = open and not (state = lost or (state = open and read_at < now()))", True),
        ("state = open and not (state = lost or state = open)", False),
    ],
)
def test_d3_what_is_asked_of_a_time_depends_on_where_days_begin(table, text, expected):
    assert needs_zone(parse_text(text), table) is expected
