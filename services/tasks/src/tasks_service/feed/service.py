"""The feed: what has changed since a position, as its reader sees it now."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.cursors import CursorSigner
from chassis.identity import Principal
from sqlalchemy import RowMapping

from tasks_service.feed import repository
from tasks_service.feed.errors import CursorExpired
from tasks_service.feed.repository import Reader
from tasks_service.feed.rules import (
    ACCESS_LOST,
    MEMBER_REMOVED,
    NOTHING,
    Row,
    Shown,
    View,
    Window,
    entry_of,
    former_project,
    places_of,
    shown_of,
    windows_of,
)
from tasks_service.feed.schemas import Part, Wanted

OF_WORKSPACE = Shown(reason=ACCESS_LOST)


async def read_changes(
    reader: Reader, *, caller: Principal, wanted: Wanted, signer: CursorSigner, kept_since: datetime
) -> Part:
    """Return what has changed since a position, and where to go on; the number of statements is bounded.

    Numbers of a workspace are without gaps and in the order of commits, so nothing comes later that is before a
    position that was given. Raises CursorExpired where something was changed before `kept_since` that is not read yet.
    """
    standings = await repository.standings(reader, caller)
    heads = {workspace_id: row["last_seq"] for workspace_id, row in standings.items()}
    if wanted.positions is None:
        return Part([], signer.position(heads), has_more=False)
    reading = _Reading(wanted.positions, heads, signer, own_stream=caller.user_id)
    entries = await _tell_losses(reader, caller, wanted, reading, kept_since)
    for workspace_id, row in standings.items():
        # One that the position does not name is one that the caller was no member of then.
        reading.positions.setdefault(workspace_id, row["joined_seq"] - 1)
    await _refuse_expired(reader, reading, kept_since)
    if len(entries) < wanted.limit:
        roles = {workspace_id: row["role"] for workspace_id, row in standings.items()}
        entries += await _tell_changes(reader, caller, wanted, reading, roles, wanted.limit - len(entries))
    return Part(entries, reading.cursor(), reading.has_more())


class _Reading:
    """How far somebody has come; what is gone from `heads` is told first.

    A position of the live channels has the reader's own stream, too: it is of no workspace, and is kept as it is.
    """

    def __init__(
        self, positions: Mapping[UUID, int], heads: Mapping[UUID, int], signer: CursorSigner, *, own_stream: UUID
    ) -> None:
        self.positions = {stream: at for stream, at in positions.items() if stream != own_stream}
        self._aside = {stream: at for stream, at in positions.items() if stream == own_stream}
        self._heads = heads
        self._signer = signer

    def cursor(self) -> str:
        return self._signer.position({**self.positions, **self._aside})

    def beyond(self) -> list[UUID]:
        """Return the workspaces that positions name and that are not seen."""
        return sorted(self.positions.keys() - self._heads.keys())

    def behind(self) -> dict[UUID, int]:
        """Return the positions in workspaces that are seen, as far as there is more."""
        return {one: at for one, at in self.positions.items() if at < self._heads.get(one, at)}

    def go_to_end_of(self, windows: Sequence[Window]) -> None:
        for window in windows:
            self.positions[window.workspace_id] = window.until

    def windows(self) -> list[Window]:
        return windows_of(self.behind(), self._heads)

    def first_steps(self) -> list[Window]:
        return [Window(one, at, at + 1) for one, at in self.behind().items()]

    def has_more(self) -> bool:
        return bool(self.behind() or self.beyond())


async def _tell_losses(
    reader: Reader, caller: Principal, wanted: Wanted, reading: _Reading, kept_since: datetime
) -> list[dict[str, Any]]:
    """Tell of workspaces that the caller is out of, each by the end of the membership; they are forgotten then."""
    beyond = reading.beyond()
    ended = await repository.ended_memberships(reader, beyond) if beyond else {}
    if not caller.is_restricted:
        await _refuse_forgotten(reader, beyond, ended, kept_since)
    entries: list[dict[str, Any]] = []
    for workspace_id in beyond:
        if len(entries) == wanted.limit:
            break
        del reading.positions[workspace_id]
        row = ended.get(workspace_id)
        if row is not None and caller.reaches_workspace(workspace_id) and _is_wanted(row, wanted):
            entries.append(entry_of({**row, "is_silenced": False}, OF_WORKSPACE, reading.cursor()))
    return entries


def _is_wanted(row: RowMapping, wanted: Wanted) -> bool:
    of_type = wanted.types is None or MEMBER_REMOVED in wanted.types
    return of_type and wanted.workspace_id in (None, row["workspace_id"])


async def _refuse_forgotten(
    reader: Reader, beyond: Sequence[UUID], ended: Mapping[UUID, RowMapping], kept_since: datetime
) -> None:
    """Raise CursorExpired where it is too long ago that a membership ended, or not known any more.

    A workspace of which nothing else says what became of it is one that the reader was never in, as in somebody else's
    position: there is nothing to tell of it.
    """
    unexplained = [one for one in beyond if one not in ended]
    too_old = any(row["occurred_at"] < kept_since for row in ended.values())
    if too_old or (unexplained and await repository.are_any_purged(reader, unexplained)):
        raise CursorExpired


async def _refuse_expired(reader: Reader, reading: _Reading, kept_since: datetime) -> None:
    steps = reading.first_steps()
    oldest = await repository.oldest_unread(reader, steps) if steps else None
    if oldest is not None and oldest < kept_since:
        raise CursorExpired


async def _tell_changes(
    reader: Reader, caller: Principal, wanted: Wanted, reading: _Reading, roles: Mapping[UUID, str], limit: int
) -> list[dict[str, Any]]:
    windows = reading.windows()
    if not windows:
        return []
    rows = await repository.changes_between(
        reader,
        caller,
        windows,
        types=wanted.types,
        workspace_id=wanted.workspace_id,
        project_id=wanted.project_id,
        limit=limit + 1,
    )
    page = rows[:limit]
    told = await _told(reader, caller, page, roles)
    entries = [entry_of(row, shown, reading.cursor()) for row, shown in _walked(reading, windows, page, told)]
    if len(rows) == len(page):
        reading.go_to_end_of(windows)
    return entries


def _walked(
    reading: _Reading, windows: Sequence[Window], page: Sequence[Row], told: Sequence[Shown]
) -> Iterator[tuple[Row, Shown]]:
    """Yield what is told, being right after it each time; at the end that is after all of the page."""
    ahead = list(windows)
    for row, shown in zip(page, told, strict=True):
        while ahead[0].workspace_id != row["workspace_id"]:
            reading.go_to_end_of([ahead.pop(0)])
        reading.positions[row["workspace_id"]] = row["seq"]
        if shown is not NOTHING:
            yield row, shown


async def _told(
    reader: Reader, caller: Principal, rows: Sequence[RowMapping], roles: Mapping[UUID, str]
) -> list[Shown]:
    """Return what of each change is shown; of what is gone and has changed often, the last change tells it."""
    view = await _view(reader, caller, rows, roles)
    told = [shown_of(row, view) for row in rows]
    new = {row["entity_id"] for row in rows if row["version"] == 1}
    asked = [row for row, shown in zip(rows, told, strict=True) if shown.unless_later and row["entity_id"] not in new]
    later = await repository.those_with_later(reader, caller, asked) if asked else set()
    kept = {(row["workspace_id"], row["seq"]) for row in asked} - later
    return [
        NOTHING if shown.unless_later and (row["workspace_id"], row["seq"]) not in kept else shown
        for row, shown in zip(rows, told, strict=True)
    ]


async def _view(reader: Reader, caller: Principal, rows: Sequence[RowMapping], roles: Mapping[UUID, str]) -> View:
    places = [place for row in rows for place in places_of(row)]
    projects = {place.project_id for place in places if place.project_id}
    projects |= {former for row in rows if (former := former_project(row))}
    tasks = {place.task_id for place in places if place.task_id}
    return View(
        caller,
        roles,
        await repository.projects_known(reader, caller, projects) if projects else {},
        await repository.tasks_there(reader, caller, tasks) if tasks else {},
    )
