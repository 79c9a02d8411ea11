"""Use cases that categories and labels have in common. Each is part of one transaction that its caller commits."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.db.failures import UNIQUE_VIOLATION, sqlstate
from chassis.errors import Forbidden
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import service as changes
from tasks_service.names import repository
from tasks_service.names.errors import NamedMissing
from tasks_service.names.events import named_changed
from tasks_service.names.rules import name_key
from tasks_service.names.schemas import NamedCreate, NamedKind, NamedPatch
from tasks_service.permissions.policies import can
from tasks_service.permissions.schemas import Held
from tasks_service.versions import service as versions
from tasks_service.versions.schemas import Expectation
from tasks_service.workspaces.service import workspace_for

FIELD_OF = {"name_key": "name"}


async def create(
    session: AsyncSession, kind: NamedKind, *, wanted: NamedCreate, personal: bool, actor: Principal
) -> RowMapping:
    """Add to the wanted workspace, or to the actor's personal one.

    Raises WorkspaceNotFound, Forbidden, `kind.taken`.
    """
    place = await workspace_for(session, workspace_id=wanted.workspace_id, actor=actor)
    if not can(actor, kind.create, Held(place["workspace_role"], place["id"])).allowed:
        raise Forbidden
    row = await repository.add(session, kind.table, _new(wanted, place["id"], personal=personal, actor=actor))
    if row is None:
        raise kind.taken(field="name")
    draft = named_changed(kind, "created", None, row)
    await changes.record(session, workspace_id=row["workspace_id"], actor=actor, drafts=[draft])
    return row


async def update(
    session: AsyncSession,
    kind: NamedKind,
    *,
    row: RowMapping,
    patch: NamedPatch,
    expected: Expectation,
    actor: Principal,
) -> RowMapping:
    """Apply a merge patch; one event, however many tasks have it.

    Raises NamedMissing, `kind.taken`, and what versions.service.change raises.
    """
    changed = await _changed(session, kind, row=row, values=patch.columns(), expected=expected, actor=actor)
    if changed is None:
        return row
    draft = named_changed(kind, "updated", changed.before, changed.after)
    await changes.record(session, workspace_id=row["workspace_id"], actor=actor, drafts=[draft])
    return changed.after


async def _changed(
    session: AsyncSession,
    kind: NamedKind,
    *,
    row: RowMapping,
    values: Mapping[str, Any],
    expected: Expectation,
    actor: Principal,
) -> versions.Changed | None:
    async def read_again() -> RowMapping:
        found = await repository.find_visible(session, kind.table, caller=actor, row_id=row["id"])
        if found is None:
            raise NamedMissing
        return found

    try:
        return await versions.change(
            session, versioned(kind), row, wanted=values, expected=expected, read_again=read_again
        )
    except IntegrityError as error:
        if sqlstate(error) != UNIQUE_VIOLATION:
            raise
        raise kind.taken(field="name") from None


def versioned(kind: NamedKind) -> versions.Kind:
    """Return what there is to know of the kind to change it."""
    return versions.Kind(kind.table, kind.show, field_of=FIELD_OF)


def _new(wanted: NamedCreate, workspace_id: UUID, *, personal: bool, actor: Principal) -> dict[str, Any]:
    now = utcnow()
    return {
        "id": uuid7(),
        "workspace_id": workspace_id,
        "owner_id": actor.user_id if personal else None,
        "name": wanted.name,
        "name_key": name_key(wanted.name),
        "color": wanted.color,
        "created_by": actor.user_id,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
