"""Seeing what a service asks its database."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


@contextmanager
def statements_seen(asked: AsyncEngine | AsyncConnection) -> Iterator[list[str]]:
    """Give a list to which the text of every statement is added; what begins and ends a transaction is none.

    Of an engine all that anybody asks is seen, of a connection what is asked over it: where something runs
    beside a test, only that is the test's own.
    """
    seen: list[str] = []
    target = asked.sync_engine if isinstance(asked, AsyncEngine) else asked.sync_connection

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        seen.append(statement)

    event.listen(target, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(target, "before_cursor_execute", note)
