"""Changing one versioned resource: the only way in which rows with a version change on behalf of a caller."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

from chassis.clock import utcnow
from chassis.errors import ErrorDetail, IfMatchRequired, VersionConflict
from chassis.patching import patched
from pydantic import BaseModel
from sqlalchemy import RowMapping, Table
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import service as changes
from tasks_service.changes.schemas import is_same
from tasks_service.versions import repository
from tasks_service.versions.errors import ResourceBusy, ResourceVersionConflict
from tasks_service.versions.schemas import Expectation

ATTEMPTS = 5

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """What there is to know of a kind of resource to change it.

    `show` makes the resource of a row, as the API shows it; `field_of` names the field of a column where that is
    another; `derived` are fields that follow from other changes, so that nobody means to set them and nobody's change
    conflicts with them. `touched` is the column with the time of the last change.
    """

    table: Table
    show: Callable[[RowMapping], BaseModel]
    field_of: Mapping[str, str]
    derived: Collection[str] = ()
    touched: str = "updated_at"


@dataclass(frozen=True, slots=True)
class Changed:
    """A row before and after a change."""

    before: RowMapping
    after: RowMapping


async def change(
    session: AsyncSession,
    kind: Kind,
    row: RowMapping,
    *,
    wanted: Values,
    expected: Expectation,
    read_again: Callable[[], Awaitable[RowMapping]],
    follow: Callable[[RowMapping, Values], Values] = lambda _row, _changed: {},
    merged: Collection[str] = (),
) -> Changed | None:
    """Change a row at its current version, reading again when somebody was faster and the caller named no version.

    `row` has `require_if_match` of its workspace beside its columns. `wanted` are values by column; what is equal
    already is no change, and without any there is no new version: None. Those of `merged` are merge patches of what is
    there then. `follow` returns the values that follow from those that change. Raises IfMatchRequired,
    ResourceVersionConflict, ResourceBusy.
    """
    if row["require_if_match"] and not expected.is_given:
        raise IfMatchRequired
    for _ in range(ATTEMPTS):
        await refuse_stale(session, kind, row, wanted=wanted, expected=expected)
        changed = unlike(row, wanted, merged=merged)
        if not changed:
            return None
        values = {**changed, **follow(row, changed), kind.touched: utcnow()}
        after = await repository.change_row(
            session, kind.table, row_id=row["id"], version=row["version"], values=values
        )
        if after is not None:
            return Changed(row, _with_context(row, after))
        row = await read_again()
    raise ResourceBusy(retry_after=1)


def unlike(row: RowMapping, wanted: Values, *, merged: Collection[str] = ()) -> dict[str, Any]:
    """Return those of the values that a row has not; those of `merged` are merge patches of what it has."""
    now = {name: patched(row[name], value) if name in merged else value for name, value in wanted.items()}
    return {name: value for name, value in now.items() if not is_same(row[name], value)}


async def refuse_unexpected(
    session: AsyncSession, kind: Kind, row: RowMapping, *, expected: Expectation, wanted: Values | None = None
) -> None:
    """Check what the caller says of the state of a row that is locked.

    Raises IfMatchRequired, ResourceVersionConflict.
    """
    if row["require_if_match"] and not expected.is_given:
        raise IfMatchRequired
    await refuse_stale(session, kind, row, wanted=wanted or {}, expected=expected)


async def refuse_stale(
    session: AsyncSession, kind: Kind, row: RowMapping, *, wanted: Values, expected: Expectation
) -> None:
    """Raise ResourceVersionConflict, with the fields, for a change that was made for another state than this."""
    if expected.version is None or expected.version == row["version"]:
        return
    since = await repository.fields_changed_since(session, entity_id=row["id"], version=expected.version)
    since |= changes.fields_gathered(session, entity_id=row["id"], version=expected.version)
    fields = since - set(kind.derived)
    if expected.merges:
        fields &= {kind.field_of.get(name, name) for name in wanted}
    if since and not fields and expected.version < row["version"]:
        return
    raise ResourceVersionConflict(
        details=[ErrorDetail(VersionConflict.code, "This field was changed since.", one) for one in sorted(fields)],
        data={"current": kind.show(row).model_dump(mode="json")},
    )


def _with_context(row: RowMapping, after: RowMapping) -> RowMapping:
    """Return the row with what was read beside its columns, such as the caller's role."""
    return cast("RowMapping", {**row, **after})
