"""A pytest plugin that writes down what the code under test asks its database: see `record` beside it.

It is loaded into the tests of an older commit, so it imports nothing of ours. A test is kept when it has a statement
that none before it had, as its transactions in the order of their commits, without those that were rolled back and
without reads that are known already. What no kept test has is kept as text alone.
"""

import gzip
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import TextClause, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

MOST_STATEMENTS = 150
LONGEST_VALUE = 4_000

Step = dict[str, Any]


class Recording:
    """The steps of the test that runs, and of those that are kept."""

    def __init__(self) -> None:
        self.open: defaultdict[int, list[Step]] = defaultdict(list)
        self.committed: list[list[Step]] = []
        self.kept: list[dict[str, Any]] = []
        self.known: set[str] = set()
        self.seen: set[str] = set()

    def note(self, connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any) -> None:
        if isinstance(connection.engine.pool, NullPool) or is_look_of_test(context):
            return  # a migration, or what a test asks beside the code
        self.seen.add(statement)
        columns = [column[0] for column in cursor.description or ()]
        many = parameters if isinstance(parameters, list) else [parameters]
        steps = [
            {
                "sql": statement,
                "parameters": [encoded(value) for value in one],
                "columns": columns,
                "rows": cursor.rowcount,
            }
            for one in many
        ]
        if connection.connection.dbapi_connection.autocommit:
            self.committed.append(steps)
        else:
            self.open[id(connection)].extend(steps)

    def commit(self, connection: Connection) -> None:
        if steps := self.open.pop(id(connection), None):
            self.committed.append(steps)

    def rollback(self, connection: Connection) -> None:
        self.open.pop(id(connection), None)

    def end_test(self, name: str) -> None:
        steps = [step for transaction in self.committed for step in transaction]
        news = {step["sql"] for step in steps} - self.known
        if news and len(steps) <= MOST_STATEMENTS and all(is_short(step) for step in steps):
            self.kept.append({"test": name, "transactions": list(self._needed(news))})
            self.known |= news
        self.open.clear()
        self.committed = []

    def _needed(self, news: set[str]) -> Iterator[list[Step]]:
        """Leave out reads that are known already: they change nothing."""
        for transaction in self.committed:
            steps = [
                step for step in transaction if step["sql"] in news or not step["sql"].lstrip().startswith("SELECT")
            ]
            if steps:
                yield steps

    def written(self) -> Iterator[str]:
        texts = sorted(self.seen)
        place = {text: number for number, text in enumerate(texts)}
        yield from (json.dumps({"statement": text}) for text in texts)
        for test in self.kept:
            transactions = [[{**step, "sql": place[step["sql"]]} for step in one] for one in test["transactions"]]
            yield json.dumps({"test": test["test"], "transactions": transactions})


def is_look_of_test(context: Any) -> bool:
    return isinstance(context.compiled.statement, TextClause) and context.statement.lstrip().startswith("SELECT")


def is_short(step: Step) -> bool:
    return len(json.dumps(step["parameters"])) <= LONGEST_VALUE


def encoded(value: Any) -> Any:
    """Return a parameter as JSON that tells its type."""
    if isinstance(value, UUID | datetime | date):
        kind = {UUID: "uuid", datetime: "datetime", date: "date"}[UUID if isinstance(value, UUID) else type(value)]
        return {kind: str(value)}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, list | tuple | set | frozenset):
        return [encoded(one) for one in value]
    return value


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Plugin(Recording(), Path(os.environ["RECORDED_STATEMENTS"])), "statements-recorder")


class Plugin:
    def __init__(self, recording: Recording, path: Path) -> None:
        self._recording = recording
        self._path = path
        event.listen(Engine, "after_cursor_execute", self._executed)
        event.listen(Engine, "commit", recording.commit)
        event.listen(Engine, "rollback", recording.rollback)

    def _executed(
        self, connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, *_more: Any
    ) -> None:
        self._recording.note(connection, cursor, statement, parameters, context)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._recording.end_test(nodeid)

    def pytest_sessionfinish(self) -> None:
        lines = "".join(f"{line}\n" for line in self._recording.written())
        # The time of the file would be in it, and every recording another one.
        self._path.write_bytes(gzip.compress(lines.encode(), mtime=0))
