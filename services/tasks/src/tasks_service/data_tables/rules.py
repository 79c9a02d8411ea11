"""CSV (RFC 4180) as people open it: no cell is taken for a formula, and records are found by the lines that they have.

A cell that a spreadsheet would compute gets an apostrophe before it, and so does one that looks as if it had got one:
taking one away from what looks so gives every text back.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

COLUMNS = (
    "id",
    "key",
    "title",
    "description",
    "status",
    "status_category",
    "priority",
    "project",
    "category",
    "labels",
    "parent",
    "assignees",
    "start",
    "due",
    "deadline",
    "estimate_minutes",
    "completion_policy",
    "completed_at",
    "created_at",
    "updated_at",
    "external_source",
    "external_id",
)
"""What the first line of an exported table has; an import needs the title alone, in any order of columns."""
LISTS = frozenset({"labels", "assignees"})
"""Cells of several values, which are a row of their own with semicolons between them."""
END = "\r\n"
BYTE_ORDER_MARK = "\ufeff"

COMPUTED = re.compile(r"'*[=+\-@\t\r]")
GUARDED = re.compile(r"'+[=+\-@\t\r]")
ZONED = re.compile(r"(?P<at>[^\[\]]+)\[(?P<timezone>[^\[\]]+)\]")
DATE_LENGTH = len("2026-12-01")


def guarded(text: str) -> str:
    """Return a cell that is no formula, whatever it says."""
    return f"'{text}" if COMPUTED.match(text) else text


def unguarded(cell: str) -> str:
    """Return what a cell says."""
    return cell[1:] if GUARDED.match(cell) else cell


def as_row(cells: Sequence[str]) -> bytes:
    """Return cells as a row."""
    return f"{_joined([guarded(one) for one in cells], delimiter=',')}{END}".encode()


def as_list(values: Sequence[str]) -> str:
    """Return several values as one cell."""
    return _joined(values, delimiter=";") if values else ""


def values_of(cell: str) -> list[str]:
    """Return the values of a cell that has several, without empty ones. Raises ValueError for quotes left open."""
    try:
        rows = list(csv.reader([cell], delimiter=";", strict=True, skipinitialspace=True))
    except csv.Error:
        raise ValueError from None
    return [value for row in rows for one in row if (value := one.strip())]


def _joined(cells: Sequence[str], *, delimiter: str) -> str:
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter, lineterminator=END).writerow(cells)
    return written.getvalue().removesuffix(END)


@dataclass(frozen=True, slots=True)
class Record:
    """A row of a table: where it begins among the lines, how many of those it has, and its cells; None is broken."""

    start: int
    lines: int
    cells: list[str] | None


def records(lines: Sequence[str], *, limit: int, is_whole: bool) -> list[Record]:
    """Return the first rows of these lines, which have their ends.

    A line with which a broken row begins is a record of its own. Unless the lines are all that there are (`is_whole`),
    a row without an end is left for later, but for the first one.
    """
    found: list[Record] = []
    start = 0
    while start < len(lines) and len(found) < limit:
        feed = _Counted(islice(lines, start, None))
        try:
            cells = next(csv.reader(feed, strict=True))
        except csv.Error:
            if not is_whole and found and start + feed.taken == len(lines):
                break
            found.append(Record(start, 1, None))
            start += 1
            continue
        found.append(Record(start, feed.taken, [unguarded(one) for one in cells]))
        start += feed.taken
    return found


class _Counted:
    """Gives lines, and counts them."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.taken = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken += 1
        return line


def header_of(cells: Sequence[str]) -> list[str]:
    """Return the names of columns as they are compared."""
    return [one.strip().casefold().replace(" ", "_") for one in cells]


def named_cells(header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """Return the cells that say something, by column. Raises ValueError for more cells than columns."""
    if len(cells) > len(header) and any(cells[len(header) :]):
        raise ValueError
    return {name: cell for name, cell in zip(header, cells, strict=False) if name in COLUMNS and cell.strip()}


def due_text(due: Mapping[str, Any]) -> str:
    """Return a due's columns as one text: a day, an instant with its zone (RFC 9557), or a time without one."""
    if due["due_kind"] is None:
        return ""
    if due["due_date"] is not None:
        return str(due["due_date"])
    at: datetime | None = due["due_at"]
    if at is None:
        return str(due["due_local"].isoformat(timespec="seconds"))
    zone = due["due_timezone"]
    told = at.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")
    return f"{told.replace('+00:00', 'Z') if zone == 'UTC' else told}[{zone}]"


def due_input(text: str) -> Any:
    """Return such a text as the API takes a due."""
    zoned = ZONED.fullmatch(text)
    if zoned is not None:
        return zoned.groupdict()
    has_zone = text[-1:] in {"Z", "z"} or re.search(r"[+-]\d\d:\d\d$", text) is not None
    return text if len(text) == DATE_LENGTH or has_zone else {"local": text}
