"""Deliveries seen from outside, and a channel that does as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx2
import pytest
from chassis.clock import utcnow
from chassis.db.engine import Database
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from notifications_service.deliveries import service
from notifications_service.deliveries.drivers import Notice, Outgoing, Person, Sent
from notifications_service.deliveries.schemas import PlannedDelivery
from notifications_service.deliveries.sender import DeliverySender
from sqlalchemy import text
from testkit.contract import contract_client
from testkit.waiting import eventually

Answer = Callable[[Outgoing], Awaitable[Sent]]


async def taken(message: Outgoing) -> Sent:
    return Sent(f"at-the-service-{message.delivery_id}")


@dataclass
class Channel:
    """A driver; `answer` is what it does with a message."""

    answer: Answer = taken
    messages: list[Outgoing] = field(default_factory=list)
    dropped: list[tuple[UUID, str]] = field(default_factory=list)

    def render(self, message: Outgoing) -> dict[str, Any]:
        return {"text": message.notice.text}

    async def send(self, message: Outgoing) -> Sent:
        self.messages.append(message)
        return await self.answer(message)

    async def drop_target(self, _session: Any, message: Outgoing, reason: str) -> None:
        self.dropped.append((message.delivery_id, reason))


@dataclass
class Book:
    """The table of deliveries; `skips` says of which nothing is to be sent any more, and why."""

    database: Database
    skips: dict[UUID, str] = field(default_factory=dict)

    async def plan(self, **values: Any) -> UUID:
        """Plan a delivery, as a notification does; return its id."""
        one = PlannedDelivery(**{"user_id": uuid7(), "channel": "chat", "notification_id": uuid7(), **values})
        if one.channel != "email" and one.target_id is None:
            one = PlannedDelivery(**{**_values(one), "target_id": uuid7()})
        async with transaction(self.database) as session:
            assert await service.plan(session, rows=[one]) == 1
        query = text("SELECT id FROM notifications.delivery ORDER BY id DESC LIMIT 1")
        async with self.database.writer.connect() as connection:
            return UUID(str((await connection.execute(query)).scalar_one()))

    async def row(self, delivery_id: UUID) -> dict[str, Any]:
        query = text("SELECT * FROM notifications.delivery WHERE id = :id").bindparams(id=delivery_id)
        async with self.database.writer.connect() as connection:
            return dict((await connection.execute(query)).mappings().one())

    async def alter(self, delivery_id: UUID, assignments: str) -> None:
        await self.alter_all([delivery_id], assignments)

    async def alter_all(self, delivery_ids: list[UUID], assignments: str) -> None:
        statement = f"UPDATE notifications.delivery SET {assignments} WHERE id = ANY(:ids)"  # noqa: S608 - of tests
        async with self.database.writer.begin() as connection:
            await connection.execute(text(statement), {"ids": delivery_ids})

    async def becomes(self, delivery_id: UUID, state: str) -> dict[str, Any]:
        async def there() -> dict[str, Any] | None:
            row = await self.row(delivery_id)
            return row if row["state"] == state else None

        return await eventually(there)

    async def attempted(self, delivery_id: UUID, attempts: int = 1) -> dict[str, Any]:
        """Wait until a delivery has failed so often and waits again."""

        async def there() -> dict[str, Any] | None:
            row = await self.row(delivery_id)
            return row if row["attempts"] == attempts and row["reason"] and row["lease_until"] is None else None

        return await eventually(there)

    async def prepare(self, _session: Any, rows: Any) -> dict[UUID, Outgoing | str]:
        return {row["id"]: self.skips.get(row["id"]) or self.message(row) for row in rows}

    def message(self, row: Any) -> Outgoing:
        notice = Notice(id=row["notification_id"] or uuid7(), kind="assigned", text="Told", created_at=utcnow())
        return Outgoing(
            delivery_id=row["id"],
            channel=row["channel"],
            attempts=row["attempts"],
            notification_id=row["notification_id"],
            digest_id=row["digest_id"],
            notices=[notice],
            person=Person(row["user_id"], "Ada"),
            target={"id": row["target_id"]},
            collapse_key=row["collapse_key"],
        )


def _values(one: PlannedDelivery) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__slots__}


@pytest.fixture
async def book(database: Database) -> Book:
    async with database.writer.begin() as connection:
        await connection.execute(text("TRUNCATE notifications.delivery"))
    return Book(database)


Sending = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
def sending(book: Book, database: Database) -> Sending:
    """Runs senders, and lets them finish at the end."""

    @asynccontextmanager
    async def sending(
        *, senders: int = 1, poll: float = 0.1, on: Database = database, prepare: Any = None, **drivers: Any
    ) -> AsyncIterator[None]:
        stop = asyncio.Event()
        found = [DeliverySender(on, drivers, prepare or book.prepare, poll_seconds=poll) for _ in range(senders)]
        running = [asyncio.create_task(one.run(stop)) for one in found]
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait(running, timeout=10)

    return sending


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture(scope="session")
def channels() -> type[Channel]:
    return Channel


@pytest.fixture(scope="session")
async def api(service: Any, contract: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """Speaks to the service as the gateway does; every answer is held against the contract."""
    async with contract_client(contract, base_url=f"http://127.0.0.1:{service.port}") as found:
        yield found


@pytest.fixture
def me() -> UUID:
    return uuid7()


@pytest.fixture
def headers(me: UUID, test_gateway: Any) -> dict[str, str]:
    return dict(test_gateway.headers(me))
