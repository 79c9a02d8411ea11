"""Use cases of connections to chats. Each is part of one transaction that its caller commits."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import Forbidden
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.chat import repository
from notifications_service.chat.errors import (
    ConnectionMissing,
    ConnectionVersionConflict,
    KindsOrEvents,
    TooManyConnections,
)
from notifications_service.chat.rules import DEFAULT_EVENTS, MAX_CONNECTIONS, PATTERNS, url_place
from notifications_service.chat.schemas import ConnectionCreate, ConnectionOut, ConnectionPatch, ScopeIn
from notifications_service.emails.events import channel_disabled
from notifications_service.event_patterns.rules import refuse_unknown
from notifications_service.inbox.schemas import NewNotification
from notifications_service.inbox.service import notify
from notifications_service.live.service import tell_user
from notifications_service.preferences.errors import ProjectNotFound, WorkspaceNotFound
from notifications_service.scopes import repository as scopes

OWNER = "owner"


async def create_connection(
    session: AsyncSession, *, user_id: UUID, wanted: ConnectionCreate, ring: KeyRing
) -> RowMapping:
    """Add a connection. Raises WorkspaceNotFound, ProjectNotFound, Forbidden, UnknownEvent, TooManyConnections."""
    workspace_id = await _workspace_of(session, user_id, wanted.scope)
    refuse_unknown(wanted.events or (), PATTERNS)
    scope_id = wanted.scope.id or user_id
    if await repository.count_of(session, scope=wanted.scope.type, scope_id=scope_id) >= MAX_CONNECTIONS:
        raise TooManyConnections
    connection_id, now, is_own = uuid7(), utcnow(), wanted.scope.type == "user"
    values = {
        "id": connection_id,
        "owner_id": user_id,
        "scope": wanted.scope.type,
        "workspace_id": workspace_id,
        "project_id": wanted.scope.id if wanted.scope.type == "project" else None,
        "name": wanted.name,
        "kind": wanted.kind,
        "kinds": wanted.kinds,
        "events": None if is_own else wanted.events or list(DEFAULT_EVENTS),
        "enabled": wanted.enabled,
        "disabled_reason": None if wanted.enabled else OWNER,
        "version": 1,
        "created_at": now,
        "updated_at": now,
        **_sealed(wanted.url, connection_id, ring),
    }
    return await repository.add(session, values)


async def update_connection(
    session: AsyncSession,
    *,
    user_id: UUID,
    connection_id: UUID,
    patch: ConnectionPatch,
    expected: int | None,
    ring: KeyRing,
) -> RowMapping:
    """Apply a merge patch. Raises ConnectionMissing, ConnectionVersionConflict, UnknownEvent, KindsOrEvents."""
    row = await hold_connection(session, user_id=user_id, connection_id=connection_id, expected=expected)
    given = patch.given()
    foreign = "events" if row["scope"] == "user" else "kinds"
    if foreign in given:
        raise KindsOrEvents(field=foreign)
    refuse_unknown(given.get("events", ()), PATTERNS)
    values: dict[str, Any] = {name: value for name, value in given.items() if name != "url"}
    if "enabled" in given:
        values["disabled_reason"] = None if given["enabled"] else OWNER
    if "url" in given:
        values |= _sealed(given["url"], connection_id, ring)
    return await repository.change(session, connection_id, {**values, "updated_at": utcnow()})


async def delete_connection(session: AsyncSession, *, user_id: UUID, connection_id: UUID, expected: int | None) -> None:
    """Delete a connection. Raises ConnectionMissing, ConnectionVersionConflict."""
    await hold_connection(session, user_id=user_id, connection_id=connection_id, expected=expected)
    await repository.remove(session, connection_id)


async def hold_connection(
    session: AsyncSession, *, user_id: UUID, connection_id: UUID, expected: int | None
) -> RowMapping:
    """Return a connection that nobody else changes meanwhile. Raises ConnectionMissing, ConnectionVersionConflict."""
    row = await repository.find_managed(session, user_id=user_id, connection_id=connection_id, lock=True)
    if row is None:
        raise ConnectionMissing
    if expected is not None and row["version"] != expected:
        raise ConnectionVersionConflict(data={"current": json.loads(ConnectionOut.of(row).model_dump_json())})
    return row


async def disconnect(session: AsyncSession, *, connection_id: UUID, reason: str) -> None:
    """Turn off a connection that leads nowhere any more, and tell its owner, once."""
    now = utcnow()
    values = {"disabled_reason": reason, "updated_at": now}
    row = await repository.disable_unscoped(session, connection_id, values)
    if row is None:
        return
    owner, name = row["owner_id"], row["name"]
    event = channel_disabled(user_id=owner, channel="chat", name=name, reason=reason, disabled_at=now)
    await tell_user(session, user_id=owner, drafts=[event])
    told = NewNotification(
        user_id=owner,
        kind="channel_disabled",
        event_id=event.event_id,
        event_type=event.type,
        details={"channel": f"The chat {name}", "reason": f"it takes nothing any more ({reason})"},
    )
    await notify(session, wanted=[told])


async def forget_connections(session: AsyncSession, *, user_id: UUID) -> None:
    """Delete all connections of somebody who is gone, those of workspaces, too: they told what this user saw."""
    await repository.remove_of_user(session, user_id)


def url_of(row: Mapping[Any, Any], ring: KeyRing) -> str:
    """Return where a connection posts to. Raises SealError."""
    return ring.open(row["url_sealed"], place=url_place(row["id"])).decode()


async def _workspace_of(session: AsyncSession, user_id: UUID, scope: ScopeIn) -> UUID | None:
    """Return the workspace of a scope that a user manages. Raises WorkspaceNotFound, ProjectNotFound, Forbidden."""
    if scope.id is None:
        return None
    found = (await scopes.find(session, [scope.id], user_id=user_id)).get((scope.type, scope.id))
    if found is None:
        raise (WorkspaceNotFound if scope.type == "workspace" else ProjectNotFound)(field="scope.id")
    if not found.manages:
        raise Forbidden
    return found.workspace_id


def _sealed(url: str, connection_id: UUID, ring: KeyRing) -> dict[str, str]:
    host = urlsplit(url).hostname or ""
    return {"url_sealed": ring.seal(url.encode(), place=url_place(connection_id)), "host": host}
