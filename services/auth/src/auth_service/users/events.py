"""Facts about users."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.context import current_request
from chassis.db.base import table_of
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from chassis.outbox.publishing import publish
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.db import Outbox
from auth_service.users.schemas import UserOut

SOURCE_NAME = "/taskloom/auth"
USER_REGISTERED = "user.registered.v1"
USER_UPDATED = "user.updated.v1"


async def user_registered(session: AsyncSession, row: RowMapping) -> None:
    resource = UserOut.of(row).model_dump(mode="json")
    await publish_fact(session, USER_REGISTERED, "user", row["id"], row["version"], row["id"], resource)


async def user_changed(
    session: AsyncSession,
    event_type: str,
    row: RowMapping,
    *,
    actor: Principal | None,
    changes: Sequence[dict[str, Any]] = (),
) -> None:
    """Tell what was done with an account, by whom, and how it is now; `actor` is None for the service itself."""
    event = event_of(
        event_type,
        entity_type="user",
        entity_id=row["id"],
        version=row["version"],
        actor=None if actor is None else actor.as_actor(),
        audience=row["id"],
        resource=UserOut.of(row).model_dump(mode="json"),
        changes=changes,
    )
    await publish_events(session, event)


async def publish_events(session: AsyncSession, *events: EventEnvelope) -> None:
    """Add events to the outbox."""
    await publish(session, table_of(Outbox), *events)


async def publish_fact(
    session: AsyncSession,
    event_type: str,
    entity_type: str,
    entity_id: UUID,
    version: int,
    user_id: UUID,
    resource: dict[str, Any],
) -> None:
    """Add an event about what a user did; its stream is the entity, its audience the user whom it concerns."""
    await publish_events(session, fact_of(event_type, entity_type, entity_id, version, user_id, resource))


def fact_of(
    event_type: str, entity_type: str, entity_id: UUID, version: int, user_id: UUID, resource: dict[str, Any]
) -> EventEnvelope:
    """Return an event as `publish_fact` adds it."""
    return event_of(
        event_type,
        entity_type=entity_type,
        entity_id=entity_id,
        version=version,
        actor={"type": "user", "id": str(user_id), "via": "session"},
        audience=user_id,
        resource=resource,
    )


def event_of(
    event_type: str,
    *,
    entity_type: str,
    entity_id: UUID,
    version: int,
    actor: dict[str, str] | None,
    audience: UUID,
    resource: dict[str, Any],
    changes: Sequence[dict[str, Any]] = (),
) -> EventEnvelope:
    """Return an event; its stream is the entity, and `actor` is None for what the service does itself."""
    request = current_request()
    data = {
        "entity_type": entity_type,
        "entity_id": str(entity_id),
        "version": version,
        "actor": actor,
        "changes": list(changes),
        "audience": [str(audience)],
        "request_id": request.request_id,
        "resource": resource,
    }
    return EventEnvelope(
        event_id=uuid7(),
        type=event_type,
        source=SOURCE_NAME,
        subject=entity_id,
        occurred_at=utcnow(),
        stream_id=entity_id,
        sequence=version,
        traceparent=request.traceparent,
        data=data,
    )
