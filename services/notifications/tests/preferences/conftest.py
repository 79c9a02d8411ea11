"""What auth tells of accounts, and the consumer that takes it in."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx2
import pytest
from chassis.broker.consumer import ConsumerRunner
from chassis.broker.port import Message
from chassis.broker.streams import StreamsTransport
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.engine import Database
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from notifications_service.db import Inbox
from notifications_service.people.consumers import on_person
from testkit.contract import contract_client


def told(event_type: str, account_id: UUID, version: int, resource: dict[str, Any]) -> EventEnvelope:
    noun = event_type.partition(".")[0]
    about = {"entity_type": noun, "entity_id": str(account_id), "version": version, "actor": None, "changes": []}
    return EventEnvelope(
        event_id=uuid7(),
        type=event_type,
        source="/taskloom/auth",
        subject=account_id,
        occurred_at=utcnow(),
        stream_id=account_id,
        sequence=version,
        data={**about, "audience": [], "request_id": None, "resource": resource},
    )


@dataclass
class Account:
    """An account as auth knows it; each event of it has the next version."""

    id: UUID = field(default_factory=uuid7)
    version: int = 0
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def email(self) -> str:
        return f"{self.id.hex}@example.com"

    def event(self, event_type: str = "user.updated.v1", **changed: Any) -> EventEnvelope:
        self.version += 1
        self.fields |= changed
        state = {"id": str(self.id), "kind": "human", "status": "active", "locale": None, "version": self.version}
        known = {"email": self.email, "email_verified": True, "display_name": "Ada", "timezone": "UTC"}
        return told(event_type, self.id, self.version, {**state, **known, **self.fields})


Tell = Callable[..., Awaitable[None]]


@pytest.fixture(scope="session")
async def tell(database: Database, valkey_url: str) -> Tell:
    """Hands events of accounts to the consumer, one after the other, as a delivery does."""
    transport = StreamsTransport(valkey_url, prefix=f"t{uuid7().hex}")
    runner = ConsumerRunner(database, table_of(Inbox), transport, on_person)

    async def tell(*events: EventEnvelope) -> None:
        for one in events:
            await runner.handle(Message(str(one.event_id), one.type, str(one.stream_id), one.to_json()))

    return tell


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture(scope="session")
def told_of() -> Callable[..., EventEnvelope]:
    return told


@pytest.fixture(scope="session")
async def api(service, contract) -> AsyncIterator[httpx2.AsyncClient]:
    """Speaks to the service as the gateway does; every answer is held against the contract."""
    async with contract_client(contract, base_url=f"http://127.0.0.1:{service.port}") as found:
        yield found
