"""Use cases of saved filters. Each is part of one transaction that its caller commits."""

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.db.failures import UNIQUE_VIOLATION, sqlstate
from chassis.errors import Forbidden
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.changes import repository as log
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.names import repository as names_repository
from tasks_service.names.errors import NamedMissing
from tasks_service.names.rules import name_key
from tasks_service.permissions.policies import can
from tasks_service.permissions.rules import MEMBERS
from tasks_service.permissions.schemas import Held
from tasks_service.saved_filters import repository
from tasks_service.saved_filters.errors import FilterExists, FilterNotFound, TooManyFilters
from tasks_service.saved_filters.events import filter_changed
from tasks_service.saved_filters.rules import MAX_FILTERS, Scope, kept
from tasks_service.saved_filters.schemas import FilterCreate, FilterOut, FilterPatch
from tasks_service.versions import service as versions
from tasks_service.versions.schemas import Expectation
from tasks_service.workspaces.service import workspace_for

KIND = versions.Kind(repository.saved_filter, FilterOut.of, field_of={"name_key": "name", "owner_id": "scope"})


async def find_chosen(reader: AsyncConnection | AsyncSession, *, caller: Principal, filter_id: UUID) -> RowMapping:
    """Return the saved filter by which a request asks for tasks. Raises FilterNotFound."""
    row = await repository.find_visible(reader, caller=caller, filter_id=filter_id)
    if row is None:
        raise FilterNotFound(field="filter_id")
    return row


async def create_filter(session: AsyncSession, *, wanted: FilterCreate, actor: Principal) -> RowMapping:
    """Keep a filter in the wanted workspace, or in the actor's personal one.

    Raises WorkspaceNotFound, Forbidden, FilterExists, TooManyFilters, and what is wrong with the filter.
    """
    place = await workspace_for(session, workspace_id=wanted.workspace_id, actor=actor)
    mine = Held(place["workspace_role"], place["id"], is_own=wanted.scope == "personal")
    if not can(actor, "workspace.create_filter", mine).allowed:
        raise Forbidden
    return await _add(session, _new(wanted, place, actor), actor)


async def update_filter(
    session: AsyncSession, *, row: RowMapping, patch: FilterPatch, expected: Expectation, actor: Principal
) -> RowMapping:
    """Apply a merge patch.

    Raises NamedMissing, Forbidden, FilterExists, what is wrong with the filter, and what versions.service.change
    raises.
    """
    if "scope" in patch.model_fields_set:
        _refuse_scope(row, patch.scope, actor)
    values = _columns(patch, row, actor)
    changed = await _changed(session, row=row, values=values, expected=expected, actor=actor)
    if changed is None:
        return row
    before, after = changed.before, changed.after
    lost_by = set()
    if before["owner_id"] is None and after["owner_id"] is not None:
        members = await log.members_of(session, after["workspace_id"])
        lost_by = {user_id for user_id, role in members if role in MEMBERS} - {after["owner_id"]}
    await _record(session, filter_changed("updated", before, after, lost_by=lost_by), actor)
    return after


async def delete_filter(session: AsyncSession, *, row: RowMapping, expected: Expectation, actor: Principal) -> None:
    """Delete a saved filter. Raises NamedMissing, IfMatchRequired, ResourceVersionConflict."""
    found = await repository.find_visible(session, caller=actor, filter_id=row["id"], lock=True)
    if found is None:
        raise NamedMissing
    await versions.refuse_unexpected(session, KIND, found, expected=expected)
    await names_repository.remove(session, repository.saved_filter, found["id"])
    after = cast("RowMapping", {**found, "version": found["version"] + 1, "updated_at": utcnow()})
    await _record(session, filter_changed("deleted", found, after), actor)


async def restore_filter(session: AsyncSession, *, resource: Mapping[str, Any], actor: Principal) -> RowMapping:
    """Keep a filter again that was deleted, under its id.

    Raises WorkspaceNotFound, Forbidden, FilterExists, TooManyFilters.
    """
    deleted = FilterOut.model_validate(resource)
    place = await workspace_for(session, workspace_id=deleted.workspace_id, actor=actor)
    mine = Held(place["workspace_role"], place["id"], is_own=deleted.owner_id == actor.user_id)
    if not can(actor, "filter.delete", mine).allowed:
        raise Forbidden
    values = {
        **deleted.model_dump(exclude={"scope"}),
        "owner_id": None if deleted.scope == "shared" else deleted.owner_id,
        "name_key": name_key(deleted.name),
        "created_by": deleted.owner_id,
        "version": deleted.version + 1,
        "updated_at": utcnow(),
    }
    return await _add(session, values, actor)


async def _add(session: AsyncSession, values: Mapping[str, Any], actor: Principal) -> RowMapping:
    count = await repository.count_of(session, workspace_id=values["workspace_id"], user_id=values["created_by"])
    if count >= MAX_FILTERS:
        raise TooManyFilters
    row = await names_repository.add(session, repository.saved_filter, values)
    if row is None:
        raise FilterExists(field="name")
    await _record(session, filter_changed("created", None, row), actor)
    return row


def _refuse_scope(row: RowMapping, scope: Scope, actor: Principal) -> None:
    """Refuse sharing to who may make no shared ones, and taking back what is another's. Raises Forbidden."""
    is_own = row["created_by"] == actor.user_id
    if scope == "personal":
        allowed = is_own
    else:
        allowed = can(actor, "workspace.create_filter", Held(row["workspace_role"], row["workspace_id"])).allowed
    if not allowed:
        raise Forbidden


async def _changed(
    session: AsyncSession,
    *,
    row: RowMapping,
    values: Mapping[str, Any],
    expected: Expectation,
    actor: Principal,
) -> versions.Changed | None:
    async def read_again() -> RowMapping:
        found = await repository.find_visible(session, caller=actor, filter_id=row["id"])
        if found is None:
            raise NamedMissing
        return found

    try:
        return await versions.change(session, KIND, row, wanted=values, expected=expected, read_again=read_again)
    except IntegrityError as error:
        if sqlstate(error) != UNIQUE_VIOLATION:
            raise
        raise FilterExists(field="name") from None


def _columns(patch: FilterPatch, row: RowMapping, actor: Principal) -> dict[str, Any]:
    """Return the columns that the patch names, and only those. Raises what is wrong with the filter."""
    values = _meaningful(patch.given(), actor)
    scope = values.pop("scope", None)
    if scope is not None:
        values["owner_id"] = None if scope == "shared" else row["created_by"]
    return {**values, "name_key": name_key(patch.name)} if "name" in values else values


def _new(wanted: FilterCreate, place: RowMapping, actor: Principal) -> dict[str, Any]:
    now = utcnow()
    given = _meaningful(wanted.model_dump(include={"name", "description", "filter", "sort", "q"}), actor)
    return {
        **given,
        "id": uuid7(),
        "workspace_id": place["id"],
        "owner_id": None if wanted.scope == "shared" else actor.user_id,
        "name_key": name_key(wanted.name),
        "created_by": actor.user_id,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }


def _meaningful(given: dict[str, Any], actor: Principal) -> dict[str, Any]:
    """Return what is given with the filter as its JSON. Raises InvalidFilter, FilterTooComplex, InvalidInput."""
    if given.get("filter") is None:
        return given
    return {**given, "filter": kept(given["filter"], user_id=actor.user_id, now=utcnow())}


async def _record(session: AsyncSession, draft: ChangeDraft, actor: Principal) -> None:
    workspace_id = UUID(draft.resource["workspace_id"])
    await changes.record(session, workspace_id=workspace_id, actor=actor, drafts=[draft])
