"""D1: whichever way a filter is written, it is one tree, and what is printed is read as that again."""

import re
from datetime import UTC, date, datetime

from chassis.errors import AppError
from chassis.filtering.binding import bind
from chassis.filtering.documents import document_of, parse_document
from chassis.filtering.fields import Field
from chassis.filtering.parameters import parse_parameters
from chassis.filtering.printing import as_json, as_text, fingerprint
from chassis.filtering.text import parse_text
from chassis.filtering.tree import OF_LISTS, And, Not, Or, Predicate, all_of, any_of, none_of
from hypothesis import given, settings
from hypothesis import strategies as st
from testkit.filter_samples import BERLIN, TABLE

UNHURRIED = settings(deadline=None)
WEIRD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
DAYS = st.dates(date(1970, 1, 1), date(2100, 12, 31))
INSTANTS = st.integers(0, 4_102_272_000_000_000).map(lambda micros: datetime.fromtimestamp(micros / 1e6, UTC))
WHOLE = st.integers(-(2**63), 2**63 - 1)
NUMBERS = WHOLE | st.floats(-1e6, 1e6).filter(lambda number: not number.is_integer())
OF_TYPE = {
    "id": st.uuids(),
    "user": st.uuids(),
    "text": WEIRD,
    "boolean": st.booleans(),
    "day": DAYS,
    "instant": DAYS | INSTANTS,
    "due": DAYS | INSTANTS,
    "scalar": WEIRD | NUMBERS | st.booleans(),
}
DYNAMIC = st.builds("more.{}".format, WEIRD.filter(len))


def values_of(field: Field):
    if field.type == "keyword":
        return st.sampled_from(field.allowed) if field.allowed else st.from_regex(field.pattern, fullmatch=True)
    if field.type == "number":
        return WHOLE if field.whole else NUMBERS
    return OF_TYPE[field.type]


def written_values(field, operator):
    values = values_of(field)
    if field.type == "scalar" and operator in ("contains", "starts_with"):
        return WEIRD
    return NUMBERS if field.type == "scalar" and operator in ("<", "<=", ">", ">=") else values


@st.composite
def documents(draw):
    """Yield JSON of one predicate that is right."""
    field = draw(st.sampled_from(TABLE.fields) | DYNAMIC.map(TABLE.find))
    operator = draw(st.sampled_from(field.operators))
    name = draw(st.sampled_from((field.name, *field.aliases)))
    if operator == "is_null":
        return {"field": name, "op": operator, **draw(st.sampled_from(({}, {"value": True}, {"value": False})))}
    values = draw(st.lists(written_values(field, operator), min_size=1, max_size=4 if operator in OF_LISTS else 1))
    shown = [as_json(Predicate(name, "=", (value,)))["value"] for value in values]
    return {"field": name, "op": operator, "value": shown if operator in OF_LISTS else shown[0]}


TREES = st.recursive(
    documents(),
    lambda inner: (
        st.builds(lambda one: {"not": one}, inner)
        | st.builds(
            lambda word, many: {word: many}, st.sampled_from(("and", "or")), st.lists(inner, min_size=1, max_size=3)
        )
    ),
    max_leaves=6,
)


def as_written(document):
    """Write JSON as text, naively: brackets around everything, and every text quoted."""
    if "field" not in document:
        ((word, inner),) = document.items()
        if word == "not":
            return f"NOT ({as_written(inner)})"
        return "(" + f" {word} ".join(as_written(one) for one in inner) + ")"
    field, operator, value = quoted(document["field"]), document["op"], document.get("value")
    if isinstance(value, list):
        return f"{field} {operator}({','.join(map(quoted, value))})"
    return f"{field} {operator} {'' if value is None else quoted(value)}"


def quoted(value):
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return str(value)


def bound(written):
    return bind(written, TABLE, BERLIN)


def read_or_none(parse, given, *, why="At most 6 of|at most 50 predicates|has at most 4096 bytes"):
    try:
        return bound(parse(given))
    except AppError as refused:
        (detail,) = refused.details
        assert detail.code == "FILTER_TOO_COMPLEX"
        assert re.search(why, detail.message)
        return None


def is_again(parse, given, tree):
    """Tell whether what is printed is read as the same; it may be longer than what is taken, but no deeper."""
    return read_or_none(parse, given, why="has at most 4096 bytes") in (tree, None)


@settings(max_examples=400, deadline=None)
@given(TREES)
def test_d1_json_and_text_are_one_tree_which_is_printed_as_itself(document):
    tree = read_or_none(parse_document, document)
    if tree is None:
        return
    assert is_again(parse_text, as_written(document), tree)
    assert is_again(parse_document, as_json(tree), tree)
    assert as_json(bound(parse_document(as_json(tree)))) == as_json(tree)
    assert is_again(parse_text, as_text(tree), tree)
    for written in (parse_document(document), parse_text(as_text(tree))):
        assert is_again(parse_document, document_of(written, TABLE), tree)
    assert fingerprint(bound(parse_text(as_text(tree)))) == fingerprint(tree)


@UNHURRIED
@given(st.lists(documents(), min_size=2, max_size=5), st.sampled_from(("and", "or")), st.randoms())
def test_d1_a_fingerprint_takes_no_notice_of_order(several, word, random):
    shuffled = random.sample(several, len(several))
    first, second = (read_or_none(parse_document, {word: many}) for many in (several, shuffled))
    if first is not None and second is not None:
        assert fingerprint(first) == fingerprint(second)


def test_d1_a_fingerprint_is_of_what_it_means():
    texts = ("more.x = 1", "more.x = true", 'more.x = "1"', "more.x in (1, 2)", "not more.x = 1", "more.y = 1")
    assert len({fingerprint(bound(parse_text(text))) for text in texts}) == len(texts)
    assert fingerprint(bound(parse_text("more.x in (2, 1)"))) == fingerprint(bound(parse_text("more.x in (1, 2)")))


@UNHURRIED
@given(WEIRD | st.text(st.sampled_from("ab=()'\" \\,notadr<>!1+-"), max_size=60))
def test_d1_any_text_is_a_filter_or_refused(text):
    try:
        bound(parse_text(text))
    except AppError as refused:
        for detail in refused.details:
            assert detail.position is None or 0 <= detail.position <= len(text)


@UNHURRIED
@given(
    st.recursive(
        st.none() | st.booleans() | NUMBERS | WEIRD,
        lambda one: (
            st.lists(one) | st.dictionaries(st.sampled_from(("and", "or", "not", "field", "op", "value")) | WEIRD, one)
        ),
        max_leaves=12,
    )
)
def test_d1_any_json_is_a_filter_or_refused(value):
    try:
        bound(parse_document(value))
    except AppError as refused:
        assert refused.details  # noqa: PT017 - either is right


@UNHURRIED
@given(
    st.lists(st.sampled_from(("open", "shut", "lost")), min_size=1, max_size=4),
    st.lists(st.sampled_from(("me", "none")), min_size=1, max_size=2, unique=True),
    DAYS,
)
def test_d1_flat_parameters_are_the_same_tree(states, readers, day):
    flat = {"state": states, "reader": [",".join(readers)], "back_before": [day.isoformat()]}
    alternatives = [f"reader = {one}" if one == "me" else "reader is_null" for one in sorted(readers)]
    text = f"state in ({','.join(states)}) and ({' or '.join(alternatives)}) and back < {day}"
    assert bound(parse_parameters(flat, TABLE)) == bound(parse_text(text))


def test_d1_instants_are_printed_in_utc_and_days_as_days():
    tree = bound(parse_text("read_at >= today() and read_at < now()+1h and bought = tomorrow()"))
    assert as_json(tree) == {
        "and": [
            {"field": "read_at", "op": ">=", "value": "2026-11-27"},
            {"field": "read_at", "op": "<", "value": "2026-11-27T00:30:00Z"},
            {"field": "bought", "op": "=", "value": "2026-11-28"},
        ]
    }
    assert as_text(tree) == "read_at >= 2026-11-27 and read_at < 2026-11-27T00:30:00Z and bought = 2026-11-28"


def test_d1_text_is_kept_as_json_with_me_and_relative_dates():
    written = parse_text("reader in (me) or not back < today()+7d and pages = 5 and is_lost = TRUE and more.x = 'true'")
    assert document_of(written, TABLE) == {
        "or": [
            {"field": "reader", "op": "in", "value": ["me"]},
            {
                "and": [
                    {"not": {"field": "back", "op": "<", "value": "today()+7d"}},
                    {"field": "pages", "op": "=", "value": 5},
                    {"field": "is_lost", "op": "=", "value": True},
                    {"field": "more.x", "op": "=", "value": "true"},
                ]
            },
        ]
    }


def test_d1_nodes_are_joined_as_flat_as_they_can_be():
    one, two, three = (Predicate("pages", "=", (number,)) for number in (1, 2, 3))
    assert all_of([And((one, two)), three]) == And((one, two, three))
    assert any_of([one, Or((two, three))]) == Or((one, two, three))
    assert all_of([one]) == any_of([one]) == one
    assert none_of(none_of(one)) == one == none_of(Not(one))
    assert as_text(all_of([any_of([one, two]), none_of(all_of([two, three]))])) == (
        "(pages = 1 or pages = 2) and not (pages = 2 and pages = 3)"
    )
    assert (as_text(And(())), as_json(And(()))) == ("", {"and": []})
