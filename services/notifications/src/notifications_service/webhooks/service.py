"""Use cases of webhooks. Each is part of one transaction that its caller commits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.clock import utcnow
from chassis.errors import ErrorDetail, Forbidden, InvalidInput, TokenRestricted, unknown_field
from chassis.filtering.documents import document_of, parse_document, parse_filter
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.event_patterns.rules import refuse_unknown
from notifications_service.live import filters
from notifications_service.live.schemas import PersonalEvent
from notifications_service.live.service import tell_user
from notifications_service.scopes import repository as scopes
from notifications_service.webhooks import repository
from notifications_service.webhooks.errors import (
    ScopeNotFound,
    TooManyWebhooks,
    WebhookMissing,
    WebhookVersionConflict,
)
from notifications_service.webhooks.events import DISABLED
from notifications_service.webhooks.rules import (
    FIELD_NAMES,
    MAX_WEBHOOKS,
    OVERLAP,
    PATTERNS,
    DisabledReason,
    may_reach,
    new_secret,
    secret_place,
)
from notifications_service.webhooks.schemas import (
    ScopeIn,
    WebhookCreate,
    WebhookOut,
    WebhookPatch,
    WebhookResource,
)

UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a scope is; no workspace is that of a user."""

    scope_type: str
    scope_id: UUID
    workspace_id: UUID | None


async def create_webhook(
    session: AsyncSession, *, wanted: WebhookCreate, actor: Principal, ring: KeyRing
) -> tuple[RowMapping, str]:
    """Add a webhook; return it with its secret.

    Raises ScopeNotFound, Forbidden, TokenRestricted, TooManyWebhooks, and what is wrong with what is wanted.
    """
    place = await _place_of(session, wanted.scope, actor)
    if not may_reach(actor, scope_type=place.scope_type, scope_id=place.scope_id, workspace_id=place.workspace_id):
        raise TokenRestricted
    given = _meaningful(wanted.model_dump(exclude={"scope"}), actor)
    if await repository.count_of(session, scope_type=place.scope_type, scope_id=place.scope_id) >= MAX_WEBHOOKS:
        raise TooManyWebhooks
    webhook_id, secret, now = uuid7(), new_secret(), utcnow()
    values = {
        **given,
        "id": webhook_id,
        "owner_id": actor.user_id,
        "scope_type": place.scope_type,
        "scope_id": place.scope_id,
        "workspace_id": place.workspace_id,
        "disabled_reason": None if wanted.enabled else "owner",
        "secret_sealed": ring.seal(secret.encode(), place=secret_place(webhook_id)),
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    return await repository.add(session, values), secret


async def update_webhook(
    session: AsyncSession, *, row: RowMapping, patch: WebhookPatch, expected: int | None, actor: Principal
) -> RowMapping:
    """Apply a merge patch to a webhook that the session holds; what it is already is no change.

    Who manages the scope of somebody else's webhook may end it, and nothing else: it is sent what its owner sees.
    Raises Forbidden, WebhookVersionConflict, UnknownEvent, and what is wrong with the filter.
    """
    given = patch.given()
    if row["owner_id"] != actor.user_id and given != {"enabled": False}:
        raise Forbidden
    refuse_stale(row, expected)
    values = {name: value for name, value in _meaningful(given, actor).items() if value != row[name]}
    if not values:
        return row
    if "enabled" in values:
        values |= ENABLED if values["enabled"] else _disabled("owner")
    return _with_last(row, await repository.change(session, row["id"], values, at=utcnow()))


async def enable_webhook(session: AsyncSession, *, row: RowMapping, expected: int | None) -> RowMapping:
    """Let a webhook that the session holds be sent to again; one that is, stays as it is.

    Raises WebhookVersionConflict.
    """
    refuse_stale(row, expected)
    if row["enabled"] and row["failing_since"] is None:
        return row
    return _with_last(row, await repository.change(session, row["id"], ENABLED, at=utcnow()))


async def rotate_secret(
    session: AsyncSession, *, row: RowMapping, expected: int | None, ring: KeyRing
) -> tuple[RowMapping, str]:
    """Give a webhook that the session holds a new secret; the one before signs, too, for a day.

    Raises WebhookVersionConflict.
    """
    refuse_stale(row, expected)
    secret, now = new_secret(), utcnow()
    values = {
        "secret_sealed": ring.seal(secret.encode(), place=secret_place(row["id"])),
        "old_secret_sealed": row["secret_sealed"],
        "old_secret_until": now + OVERLAP,
    }
    return _with_last(row, await repository.change(session, row["id"], values, at=now)), secret


async def delete_webhook(session: AsyncSession, *, row: RowMapping, expected: int | None) -> None:
    """Take a webhook away that the session holds. Raises WebhookVersionConflict."""
    refuse_stale(row, expected)
    now = utcnow()
    await repository.change(session, row["id"], {"deleted_at": now, "enabled": False}, at=now)


async def disable_webhook(session: AsyncSession, *, row: RowMapping, reason: DisabledReason) -> None:
    """End a webhook that the session holds because of what its receiver does, and tell its owner."""
    changed = await repository.change(session, row["id"], _disabled(reason), at=utcnow())
    told = PersonalEvent(
        type=DISABLED,
        entity_type="webhook",
        subject=row["id"],
        version=changed["version"],
        resource=WebhookResource.of(changed).model_dump(mode="json"),
        changes=({"field": "enabled", "old": True, "new": False},),
        workspace_id=row["workspace_id"],
        project_id=row["scope_id"] if row["scope_type"] == "project" else None,
    )
    await tell_user(session, user_id=row["owner_id"], drafts=[told])


async def forget_webhooks(session: AsyncSession, *, user_id: UUID) -> None:
    """Take away all webhooks of somebody who is gone: they told what this user saw."""
    await repository.end_of_user(session, user_id, at=utcnow())


def refuse_stale(row: Mapping[Any, Any], expected: int | None) -> None:
    """Raise WebhookVersionConflict, with the webhook as it is, when another version was meant."""
    if expected is not None and expected != row["version"]:
        raise WebhookVersionConflict(data={"current": WebhookOut.of(row).model_dump(mode="json")})


def require_owner(row: Mapping[Any, Any], caller: Principal) -> None:
    """Raise Forbidden to who sees a webhook because of managing its scope."""
    if row["owner_id"] != caller.user_id:
        raise Forbidden


ENABLED: Mapping[str, Any] = {"enabled": True, "disabled_reason": None, "disabled_at": None, "failing_since": None}


def _disabled(reason: DisabledReason) -> Mapping[str, Any]:
    return {"enabled": False, "disabled_reason": reason, "disabled_at": utcnow()}


async def _place_of(session: AsyncSession, scope: ScopeIn, actor: Principal) -> Place:
    """Return where a scope is that the actor manages. Raises ScopeNotFound, Forbidden."""
    if scope.type == "user":
        if scope.id not in {None, actor.user_id}:
            raise ScopeNotFound(field="scope.id")
        return Place("user", actor.user_id, None)
    if scope.id is None:
        raise ScopeNotFound(field="scope.id")
    found = (await scopes.find(session, [scope.id], user_id=actor.user_id)).get((scope.type, scope.id))
    if found is None or not actor.reaches_workspace(found.workspace_id):
        raise ScopeNotFound(field="scope.id")
    if scope.type == "project" and not actor.reaches_project(found.id):
        raise ScopeNotFound(field="scope.id")
    if not found.manages:
        raise Forbidden
    return Place(scope.type, found.id, found.workspace_id)


def _meaningful(given: dict[str, Any], actor: Principal) -> dict[str, Any]:
    """Return what is given, without repetitions and with the filter as its JSON.

    Raises UnknownEvent, InvalidFilter, FilterTooComplex, InvalidInput.
    """
    refuse_unknown(given.get("events", ()), PATTERNS)
    if unknown := _unknown_fields(given.get("changed_fields", ())):
        raise InvalidInput(details=unknown)
    lists = {name: [*dict.fromkeys(value)] for name, value in given.items() if isinstance(value, list)}
    if given.get("filter") is None:
        return {**given, **lists}
    return {**given, **lists, "filter": _kept(given["filter"], actor)}


def _unknown_fields(names: Sequence[str]) -> list[ErrorDetail]:
    return [
        unknown_field(one, FIELD_NAMES, f"changed_fields.{index}")
        for index, one in enumerate(names)
        if one not in FIELD_NAMES
    ]


def _kept(given: object, actor: Principal) -> dict[str, Any]:
    filters.parse(given, user_id=actor.user_id, zone=UTC)
    document: dict[str, Any] = document_of(parse_filter(given), filters.TASK_FIELDS)
    # Text is shorter than its JSON, which is what counts when it is used.
    parse_document(document)
    return document


def _with_last(before: RowMapping, after: RowMapping) -> RowMapping:
    """Return a row after a change with what was read of other tables before."""
    return cast("RowMapping", {**before, **after})


async def find_held(session: AsyncSession, *, caller: Principal, webhook_id: UUID) -> RowMapping:
    """Return a webhook that the caller may see, and that nobody else changes meanwhile. Raises WebhookMissing."""
    row = await repository.find_visible(session, caller=caller, webhook_id=webhook_id, lock=True)
    if row is None:
        raise WebhookMissing
    return row
