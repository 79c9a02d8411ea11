"""All SQL on webhooks, and on who may see and manage them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.db.arrays import given_numbers, given_uuids, rows_of, uuids
from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from chassis.db.sealed import SealedColumn
from chassis.identity import Principal
from sqlalchemy import (
    ColumnElement,
    RowMapping,
    ScalarSelect,
    Select,
    and_,
    any_,
    exists,
    func,
    lateral,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.live.repository import event, head, membership
from notifications_service.people.repository import person
from notifications_service.people.rules import ACTIVE
from notifications_service.scopes.repository import has_ended, is_managed
from notifications_service.webhook_deliveries.models import WebhookDelivery
from notifications_service.webhooks.models import Webhook
from notifications_service.webhooks.rules import secret_place

Reader = AsyncConnection | AsyncSession

webhook = table_of(Webhook)
delivery = table_of(WebhookDelivery)

IS_THERE = webhook.c.deleted_at.is_(None)
SECRETS = tuple(
    SealedColumn(column, lambda row: secret_place(row["id"]), counts=(IS_THERE,))
    for column in (webhook.c.secret_sealed, webhook.c.old_secret_sealed)
)
UUID_TYPE: Any = PG_UUID(as_uuid=True)


def _followed_among() -> Select[Any]:
    bounds = {"after": given_numbers("after_seqs"), "until": given_numbers("until_seqs")}
    stream = rows_of("stream", id=given_uuids("of_streams"), **bounds)
    was_member = exists().where(membership.c.workspace_id == stream.c.id, membership.c.user_id == webhook.c.owner_id)
    is_new = and_(
        ~exists().where(membership.c.workspace_id == stream.c.id), ~exists().where(person.c.user_id == stream.c.id)
    )
    is_own = and_(webhook.c.scope_type == "user", or_(webhook.c.owner_id == stream.c.id, was_member, is_new))
    in_part = (event.c.workspace_id == stream.c.id, event.c.seq > stream.c.after, event.c.seq <= stream.c.until)
    still_for_it = exists().where(*in_part, event.c.occurred_at < webhook.c.disabled_at)
    is_on = or_(webhook.c.enabled, still_for_it)
    has_any = exists().where(IS_THERE, is_on, or_(webhook.c.workspace_id == stream.c.id, is_own))
    return select(stream.c.id).where(has_any)


# Asked whenever something happens: making it anew takes longer than what it does.
FOLLOWED_AMONG = _followed_among()


async def count_of(session: AsyncSession, *, scope_type: str, scope_id: UUID) -> int:
    """Return how many webhooks a scope has; until the end of the transaction nobody else adds one to it."""
    lock = func.hashtextextended(f"webhook:{scope_type}:{scope_id}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(lock)))
    query = select(func.count()).where(webhook.c.scope_type == scope_type, webhook.c.scope_id == scope_id, IS_THERE)
    return (await session.execute(query)).scalar_one()


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Add a webhook, which begins where its streams are now; return its row."""
    begins_after = _heads_of(owner_id=values["owner_id"], workspace_id=values["workspace_id"])
    statement = insert(webhook).values(**values, begins_after=begins_after).returning(*webhook.c)
    return (await session.execute(statement)).mappings().one()


def _heads_of(*, owner_id: UUID, workspace_id: UUID | None) -> ScalarSelect[Any]:
    """Select how far the streams are here that a webhook has events of: its workspace's, or all of its owner's."""
    joined = select(membership.c.workspace_id).where(membership.c.user_id == owner_id)
    streams = or_(head.c.workspace_id == owner_id, head.c.workspace_id.in_(joined))
    if workspace_id is not None:
        streams = head.c.workspace_id == workspace_id
    query = select(func.jsonb_object_agg(head.c.workspace_id, head.c.contiguous_seq)).where(streams)
    return query.scalar_subquery()


async def change(session: AsyncSession, webhook_id: UUID, values: Mapping[str, Any], *, at: datetime) -> RowMapping:
    """Change a webhook that the session holds; return its row."""
    statement = (
        update(webhook)
        .where(webhook.c.id == webhook_id)
        .values(**values, version=webhook.c.version + 1, updated_at=at)
        .returning(*webhook.c)
    )
    return (await session.execute(statement)).mappings().one()


async def hold(session: AsyncSession, webhook_id: UUID) -> RowMapping | None:
    """Return a webhook that nobody else changes until the end of the transaction; None when it is gone."""
    query = select(webhook).where(webhook.c.id == webhook_id, IS_THERE).with_for_update()
    return (await session.execute(query)).mappings().one_or_none()


async def find_visible(reader: Reader, *, caller: Principal, webhook_id: UUID, lock: bool = False) -> RowMapping | None:
    """Return the row with its youngest delivery and `manages`, if the caller may see it; locked, nobody changes it."""
    statement = _visible(caller).where(webhook.c.id == webhook_id)
    if lock:
        statement = statement.with_for_update(of=webhook)
    row: RowMapping | None = (await reader.execute(statement)).mappings().one_or_none()
    return row


async def list_visible(
    reader: Reader, *, caller: Principal, conditions: Sequence[ColumnElement[bool]], limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return the rows that the caller may see, the oldest first, and how many there are."""
    visible = _visible(caller).where(*conditions)
    counted = select(func.count()).select_from(visible.with_only_columns(webhook.c.id).subquery())
    total = (await reader.execute(counted)).scalar_one()
    query = visible.order_by(webhook.c.id).limit(limit).offset(offset)
    return (await reader.execute(query)).mappings().all(), total


def of_scope(scope_type: str | None, scope_id: UUID | None, workspace_id: UUID | None) -> list[ColumnElement[bool]]:
    """Return the conditions for the webhooks of a scope, as far as it is named, and of a workspace."""
    wanted = {"scope_type": scope_type, "scope_id": scope_id, "workspace_id": workspace_id}
    return [webhook.c[name] == value for name, value in wanted.items() if value is not None]


async def followers_of(
    session: AsyncSession, stream_id: UUID, *, told: Collection[UUID], since: datetime
) -> Sequence[RowMapping]:
    """Return the webhooks that events of a stream, the first of them of `since`, may be for.

    Those of a workspace, and those of users for whatever they are told: which were enabled then, and whose owner can
    log in.
    """
    is_own = and_(webhook.c.scope_type == "user", webhook.c.owner_id == any_(uuids(told)))
    query = (
        select(*webhook.c, person.c.timezone)
        .outerjoin(person, person.c.user_id == webhook.c.owner_id)
        .where(
            IS_THERE,
            or_(webhook.c.enabled, webhook.c.disabled_at > since),
            or_(webhook.c.workspace_id == stream_id, is_own),
            func.coalesce(person.c.status, ACTIVE) == ACTIVE,
        )
        .order_by(webhook.c.id)
    )
    return (await session.execute(query)).mappings().all()


async def forget_old_secrets(session: AsyncSession, *, now: datetime) -> None:
    """Forget secrets that sign no more."""
    statement = update(webhook).where(webhook.c.old_secret_until <= now)
    await session.execute(statement.values(old_secret_sealed=None, old_secret_until=None))


async def followed_among(session: AsyncSession, parts: Mapping[UUID, tuple[int, int]]) -> set[UUID]:
    """Return those of some streams whose events, after a number and up to one, may be for any webhook.

    A workspace is made before its owner is in it: whose it is without anybody is not known yet.
    """
    after, until = ([part[at] for part in parts.values()] for at in (0, 1))
    wanted = {"of_streams": list(parts), "after_seqs": after, "until_seqs": until}
    return set((await session.execute(FOLLOWED_AMONG, wanted)).scalars())


async def end_of_user(session: AsyncSession, user_id: UUID, *, at: datetime) -> None:
    """Take away all webhooks of somebody."""
    await session.execute(update(webhook).where(webhook.c.owner_id == user_id, IS_THERE).values(deleted_at=at))


async def end_of_ended_workspaces(session: AsyncSession, *, at: datetime) -> None:
    """Take away the webhooks of workspaces that have ended, once the last that they are told has been sent."""
    waits = exists().where(delivery.c.webhook_id == webhook.c.id, delivery.c.state == "pending")
    statement = update(webhook).where(IS_THERE, has_ended(webhook.c.workspace_id), ~waits)
    await session.execute(statement.values(deleted_at=at))


async def purge(session: AsyncSession) -> bool:
    """Forget a batch of webhooks that are deleted and have no delivery left; return whether there may be more."""
    is_empty = ~exists().where(delivery.c.webhook_id == webhook.c.id)
    return await delete_batch(session, webhook, webhook.c.deleted_at.is_not(None), is_empty)


def _visible(caller: Principal) -> Select[Any]:
    """Select one's own webhooks, and those of scopes that one manages, within one's restriction."""
    last = lateral(
        select(delivery).where(delivery.c.webhook_id == webhook.c.id).order_by(delivery.c.id.desc()).limit(1)
    ).alias("last")
    shown = {"id": last.c.id, "event": last.c.event_type, "state": last.c.state, "status": last.c.status}
    manages = is_managed(caller.user_id, workspace_id=webhook.c.workspace_id, project_id=webhook.c.scope_id)
    return (
        select(
            *webhook.c,
            *(column.label(f"last_{name}") for name, column in shown.items()),
            last.c.created_at.label("last_created_at"),
            manages.label("manages"),
        )
        .outerjoin(last, true())
        .where(IS_THERE, or_(webhook.c.owner_id == caller.user_id, manages), *_within(caller))
    )


def _within(caller: Principal) -> list[ColumnElement[bool]]:
    """Return the conditions for what an API token's restriction leaves; see rules.may_reach."""
    conditions = []
    if caller.workspace_id is not None:
        conditions.append(webhook.c.workspace_id == caller.workspace_id)
    if caller.project_ids is not None:
        conditions.append(and_(webhook.c.scope_type == "project", webhook.c.scope_id.in_(caller.project_ids)))
    return conditions
