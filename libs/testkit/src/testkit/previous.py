"""What the previous release asked its database, played on the schema of now (R42).

The recordings are made beside the tests of a service, by its tests at the last commit of the release before.
"""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

DECODERS: Mapping[str, Callable[[str], Any]] = {
    "uuid": UUID,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "bytes": bytes.fromhex,
}
UNKNOWN = -1
"""How many rows a statement touched that was executed for many at once."""


@dataclass(frozen=True, slots=True)
class Step:
    """A statement with what came of it: the columns of its answer, and how many rows it gave or touched."""

    sql: str
    parameters: Sequence[Any]
    columns: Sequence[str]
    rows: int


@dataclass(frozen=True, slots=True)
class Recording:
    """Every statement of a release as text, and the steps of those of its tests that together have all that wrote."""

    statements: Sequence[str]
    tests: Mapping[str, Sequence[Step]]

    def first(self, beginning: str) -> Step:
        """Return the first step whose statement begins so."""
        return next(step for steps in self.tests.values() for step in steps if step.sql.startswith(beginning))


def load(path: Path) -> Recording:
    """Read a recording."""
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    statements = [line["statement"] for line in lines if "statement" in line]
    tests = {line["test"]: list(_steps(statements, line["transactions"])) for line in lines if "test" in line}
    return Recording(statements, tests)


def _steps(statements: Sequence[str], transactions: Sequence[Sequence[Mapping[str, Any]]]) -> Iterator[Step]:
    for step in (step for transaction in transactions for step in transaction):
        parameters = [_decoded(value) for value in step["parameters"]]
        yield Step(statements[step["sql"]], parameters, step["columns"], step["rows"])


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(one) for one in value]
    if isinstance(value, dict):
        ((kind, text),) = value.items()
        return DECODERS[kind](text)
    return value


async def play(connection: asyncpg.Connection, step: Step) -> None:
    """Execute a step. Raises AssertionError when something else comes of it than did."""
    prepared = await connection.prepare(step.sql)
    await prepared.fetch(*step.parameters)
    columns = [attribute.name for attribute in prepared.get_attributes()]
    assert columns == list(step.columns), step.sql
    if not _is_of_its_time(step):
        assert step.rows in {UNKNOWN, int(prepared.get_statusmsg().rpartition(" ")[2])}, step.sql


def _is_of_its_time(step: Step) -> bool:
    """Tell whether it deletes what was old when it was recorded: how much that is depends on when it is played."""
    return step.sql.startswith("DELETE") and any(isinstance(value, datetime) for value in step.parameters)
