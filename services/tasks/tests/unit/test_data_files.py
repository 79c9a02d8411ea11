"""P2, M4: files of lines and tables, as they are written and read."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tasks_service.data_lines.rules import MAX_LINE, cut
from tasks_service.data_lines.schemas import BrokenLine, read_line
from tasks_service.data_tables.rules import (
    as_list,
    as_row,
    due_input,
    due_text,
    guarded,
    header_of,
    named_cells,
    records,
    unguarded,
    values_of,
)
from tasks_service.dues.rules import NO_DUE, due_at, due_floating, due_on
from tasks_service.dues.schemas import parse_due

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
RISKY = st.text(st.sampled_from("=+-@\t\r\n'\",; a"))


def rows_of(content, **options):
    lines = [line + "\n" for line in content.decode().split("\n")[:-1]]
    return records(lines, limit=1000, is_whole=True, **options)


@given(st.one_of(TEXTS, RISKY))
def test_m4_no_cell_is_a_formula_and_every_text_comes_back(text):
    cell = guarded(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert unguarded(cell) == text


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("'=1", "''=1"),
        ("''@a", "'''@a"),
        ("'tis", "'tis"),
        ("'", "'"),
        ("-3", "'-3"),
        ("a=1", "a=1"),
    ],
)
def test_m4_what_a_cell_looks_like(text, cell):
    assert (guarded(text), unguarded(cell)) == (cell, text)


@given(st.lists(st.lists(st.one_of(TEXTS, RISKY), min_size=1, max_size=4), max_size=5))
def test_p2_every_table_comes_back(rows):
    content = b"".join(as_row(row) for row in rows)
    assert [one.cells for one in rows_of(content)] == rows


@given(st.lists(st.one_of(TEXTS, RISKY).map(str.strip).filter(bool), max_size=5))
def test_p2_every_list_in_a_cell_comes_back(values):
    assert values_of(as_list(values)) == values


@given(st.lists(TEXTS, min_size=1, max_size=3), st.integers(0, 40))
def test_p2_a_row_that_has_not_come_whole_is_left_for_later(values, missing):
    content = (as_row(["first"]) + as_row([*values, "end\nof it"])).decode()
    lines = content[: len(content) - min(missing, 5)].splitlines(keepends=True) if missing else [content]
    lines = [line + "\n" for line in content.split("\n")[:-1]][: 2 + missing % 3]
    found = records(lines, limit=10, is_whole=False)
    assert found[0].cells == ["first"]
    assert all(one.cells is not None for one in found)


def test_p2_a_broken_row_is_one_line_and_the_rest_goes_on():
    found = rows_of(b'a,b\r\n"open,b\r\nc,d\r\n"x"y,e\r\nf,"g\r\nh"\r\n')
    assert [(one.start, one.lines, one.cells) for one in found] == [
        (0, 1, ["a", "b"]),
        (1, 1, None),
        (2, 1, ["c", "d"]),
        (3, 1, None),
        (4, 2, ["f", "g\r\nh"]),
    ]


def test_p2_columns_are_found_by_name_in_any_order():
    header = header_of(["Title", " Due ", "Estimate minutes", "mine"])
    assert header == ["title", "due", "estimate_minutes", "mine"]
    assert named_cells(header, ["a", "", "5", "x"]) == {"title": "a", "estimate_minutes": "5"}
    with pytest.raises(ValueError, match=r"^$"):
        named_cells(header, ["a", "", "5", "x", "more"])


@pytest.mark.parametrize(
    ("due", "text"),
    [
        (due_on(date(2026, 12, 1)), "2026-12-01"),
        (due_floating(datetime(2026, 12, 1, 9)), "2026-12-01T09:00:00"),  # noqa: DTZ001 - it has no zone
        (
            due_at(datetime(2026, 12, 1, 8, tzinfo=UTC), "Europe/Berlin"),
            "2026-12-01T09:00:00+01:00[Europe/Berlin]",
        ),
        (due_at(datetime(2026, 12, 1, 8, tzinfo=UTC), "UTC"), "2026-12-01T08:00:00Z[UTC]"),
    ],
)
def test_p2_a_due_is_one_text(due, text):
    assert due_text(due.columns()) == text
    assert parse_due(due_input(text)) == due


def test_p2_no_due_and_an_instant_without_a_zone():
    assert due_text(NO_DUE) == ""
    assert parse_due(due_input("2026-12-01T08:00:00Z")) == due_at(datetime(2026, 12, 1, 8, tzinfo=UTC), "UTC")


@given(st.lists(st.binary(max_size=5).filter(lambda one: b"\n" not in one), max_size=6), st.integers(1, 4))
def test_p2_lines_are_cut_where_they_end(lines, limit):
    content = b"\n".join(lines)
    found, rest = [], content
    while rest:
        part = cut(rest, is_whole=True, limit=limit)
        assert 1 <= len(part.lines) <= limit
        found += part.lines
        rest = rest[part.size :]
    assert b"".join(found) == content
    assert all(line.endswith(b"\n") for line in found[:-1])


def test_p2_a_line_that_has_not_come_whole_is_left_and_one_too_long_is_told():
    assert cut(b"a\nb", is_whole=False).lines == [b"a\n"]
    assert not cut(b"b", is_whole=False).is_too_long
    assert cut(b"b" * (MAX_LINE + 1), is_whole=False).is_too_long


@pytest.mark.parametrize(
    ("raw", "kind", "problems"),
    [
        (b"{", None, [("MALFORMED_JSON", None)]),
        (b"[]", None, [("NOT_ALLOWED", "kind")]),
        (b'{"kind": "tsak"}', None, [("NOT_ALLOWED", "kind")]),
        (b'{"kind": "label", "name": "a\\u0000"}', None, [("NULL_CHARACTER", "name")]),
        (b'{"kind": "label", "name": 3, "colour": "x"}', "label", None),
        (b'{"kind": "label", "id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"}', "label", [("REQUIRED", "name")]),
    ],
)
def test_p2_what_is_wrong_with_a_line_is_told_by_field(raw, kind, problems):
    with pytest.raises(BrokenLine) as caught:
        read_line(raw)
    assert caught.value.kind == kind
    told = [(one.code, one.field) for one in caught.value.details]
    expected = [("REQUIRED", "id"), ("WRONG_TYPE", "name"), ("UNKNOWN_FIELD", "colour")]
    assert sorted(told, key=str) == sorted(expected if problems is None else problems, key=str)
