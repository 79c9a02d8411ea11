"""Who sees of events what, now: asked whenever one is shown or sent later than it was told."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from notifications_service.live.repository import comments_deleted
from notifications_service.realtime.protocol import Place, StoredFrame, without_words
from notifications_service.sight import repository
from notifications_service.sight.repository import Pair
from notifications_service.sight.rules import comments_told, is_of_comment


@dataclass(frozen=True, slots=True)
class Sight:
    """What some users see now of the places of some events: pairs of a user and a workspace, project or task."""

    workspaces: frozenset[Pair]
    projects: frozenset[Pair]
    tasks: frozenset[Pair]

    def is_member(self, user_id: UUID, workspace_id: UUID | None) -> bool:
        """Tell whether a user is in a workspace; what is about none is for anybody whom it was told."""
        return workspace_id is None or (user_id, workspace_id) in self.workspaces

    def shows(self, frame: StoredFrame, user_id: UUID) -> bool:
        """Tell whether a user sees now all places that a frame is about, and of its own stream the workspace."""
        if frame.is_personal and not self.is_member(user_id, frame.workspace_id):
            return False
        return all(self._shows_place(place, user_id) for place in frame.places)

    def _shows_place(self, place: Place, user_id: UUID) -> bool:
        if place.project_id is None:
            return True
        is_shared = place.task_id is not None and (user_id, place.task_id) in self.tasks
        return is_shared or (user_id, place.project_id) in self.projects


async def sight_of(reader: AsyncConnection, frames: Collection[StoredFrame], user_ids: Collection[UUID]) -> Sight:
    """Return what users see now of the places of frames, in at most three statements."""
    workspaces = {one.workspace_id for one in frames if one.workspace_id is not None}
    places = [(one.workspace_id, place) for one in frames for place in one.places if one.workspace_id is not None]
    projects = {(workspace, place.project_id) for workspace, place in places if place.project_id is not None}
    tasks = {place.task_id for _, place in places if place.project_id is not None and place.task_id is not None}
    held = await repository.members(reader, workspaces, user_ids) if workspaces else set()
    seen = await repository.projects_seen(reader, projects, user_ids) if projects else set()
    hides = any((user, project) not in seen for user in user_ids for _, project in projects)
    shared = await repository.tasks_shared(reader, tasks, user_ids) if tasks and hides else set()
    return Sight(frozenset(held), frozenset(seen), frozenset(shared))


async def silenced(
    reader: AsyncConnection, rows: Sequence[Mapping[Any, Any]], stream_id: UUID
) -> Sequence[Mapping[Any, Any]]:
    """Take the words out of the rows of comments that have been deleted since."""
    told = comments_told(rows)
    if not told:
        return rows
    gone = await comments_deleted(reader, told, workspace_id=stream_id, after=min(told.values()))
    return [
        {**row, "frame": without_words(row["frame"])} if is_of_comment(row) and row["frame"]["subject"] in gone else row
        for row in rows
    ]
