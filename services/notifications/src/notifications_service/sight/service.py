"""Who sees of events what, now: asked whenever one is shown or sent later than it was told."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from notifications_service.live.repository import comments_deleted, purged_among
from notifications_service.realtime.protocol import TASK, Place, StoredFrame, without_words
from notifications_service.sight import repository
from notifications_service.sight.repository import Pair
from notifications_service.sight.rules import comments_told, ids_in, is_of_comment, without_gone

NOTHING = False, 0


class Spot(NamedTuple):
    """A project and where that is, or a task in it."""

    workspace_id: UUID
    project_id: UUID
    task_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What some users see now of the places of some events, and when that has changed last."""

    held: frozenset[Pair]
    """Who is in which workspace."""
    left: frozenset[Pair]
    """Who was."""
    projects: Mapping[Pair, tuple[bool, int]]
    """By user and project: whether it is seen, and the number of the last change of that."""
    tasks: Mapping[Pair, tuple[bool, int]]
    """By user and task: whether it is shared, likewise."""

    def is_member(self, user_id: UUID, workspace_id: UUID | None) -> bool:
        """Tell whether a user is in a workspace; what is about none is for anybody whom it was told."""
        return workspace_id is None or (user_id, workspace_id) in self.held

    def is_out(self, user_id: UUID, workspace_id: UUID | None) -> bool:
        """Tell whether a user was in a workspace and is not any more; of who is new to it nothing may be known yet."""
        return workspace_id is not None and (user_id, workspace_id) in self.left

    def shows(self, frame: StoredFrame, user_id: UUID) -> bool:
        """Tell whether a user sees now all places that a frame is about, and of its own stream the workspace."""
        if frame.is_personal and not self.is_member(user_id, frame.workspace_id):
            return False
        return all(self._shows_place(place, user_id) for place in frame.places)

    def shows_by_role(self, frame: StoredFrame, user_id: UUID) -> bool:
        """Tell whether a user sees now the projects that a frame is about, whatever is shared with them."""
        return all(one.project_id is None or self._of_project(one, user_id)[0] for one in frame.places)

    def stands(self, frame: StoredFrame, user_id: UUID) -> bool:
        """Tell whether nothing that is known has changed what a user sees since a frame: its audience is right then.

        What somebody sees by a later event, as the maker of a private project does, may not be known yet.
        """
        is_simple = not frame.is_personal and len(frame.places) == 1
        return is_simple and self._changed(frame.places[0], user_id) <= frame.seq

    def _shows_place(self, place: Place, user_id: UUID) -> bool:
        if place.project_id is None:
            return True
        return self._of_project(place, user_id)[0] or self._of_task(place, user_id)[0]

    def _changed(self, place: Place, user_id: UUID) -> int:
        return max(self._of_project(place, user_id)[1], self._of_task(place, user_id)[1])

    def _of_project(self, place: Place, user_id: UUID) -> tuple[bool, int]:
        return NOTHING if place.project_id is None else self.projects.get((user_id, place.project_id), NOTHING)

    def _of_task(self, place: Place, user_id: UUID) -> tuple[bool, int]:
        return NOTHING if place.task_id is None else self.tasks.get((user_id, place.task_id), NOTHING)


async def sight_of(reader: AsyncConnection, frames: Collection[StoredFrame], user_ids: Collection[UUID]) -> Sight:
    """Return what users see now of the places of frames, in at most three statements."""
    workspaces = {one.workspace_id for one in frames if one.workspace_id is not None}
    places = [(one.workspace_id, place) for one in frames for place in one.places if one.workspace_id is not None]
    projects = {(workspace, place.project_id) for workspace, place in places if place.project_id is not None}
    tasks = {place.task_id for _, place in places if place.project_id is not None and place.task_id is not None}
    nobody: frozenset[Pair] = frozenset()
    held, left = await repository.memberships(reader, workspaces, user_ids) if workspaces else (nobody, nobody)
    seen = await repository.projects_seen(reader, projects, user_ids) if projects else {}
    hides = any(not seen.get((user, project), NOTHING)[0] for user in user_ids for _, project in projects)
    shared = await repository.tasks_shared(reader, tasks, user_ids) if tasks and hides else {}
    return Sight(held, left, seen, shared)


async def seen_now(reader: AsyncConnection, frames: Collection[StoredFrame], user_id: UUID) -> Sequence[StoredFrame]:
    """Return frames as a user may be shown them now, who was told them once."""
    sight = await sight_of(reader, frames, [user_id])
    return [as_shown(one, sight, user_id) for one in frames]


def as_shown(frame: StoredFrame, sight: Sight, user_id: UUID) -> StoredFrame:
    """Hide what a user was told once and does not see any more: of projects that it is out of, of tasks unshared.

    Of what it alone was told, so is what is about workspaces that it is out of. That something is gone for good is
    told whoever was told it, and what that was only of a task whose project is seen.
    """
    if frame.is_purge:
        return frame if frame.kind == TASK and sight.shows_by_role(frame, user_id) else frame.emptied()
    return frame if frame.ended_for == user_id or sight.shows(frame, user_id) else frame.hidden()


async def spots_seen(reader: AsyncConnection, asked: Collection[Spot], *, user_id: UUID) -> set[Spot]:
    """Return those of some spots that a user sees now, in at most two statements."""
    projects = {(one.workspace_id, one.project_id) for one in asked}
    by_role = await repository.projects_seen(reader, projects, [user_id]) if projects else {}
    seen = {one for one in asked if by_role.get((user_id, one.project_id), NOTHING)[0]}
    tasks = {one.task_id for one in asked if one not in seen and one.task_id is not None}
    shared = await repository.tasks_shared(reader, tasks, [user_id]) if tasks else {}
    return seen | {one for one in asked if one.task_id and shared.get((user_id, one.task_id), NOTHING)[0]}


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


async def forgotten(reader: AsyncConnection, frames: Sequence[StoredFrame], stream_id: UUID) -> Sequence[StoredFrame]:
    """Take everything out of the frames of what has been deleted for good since, with its task or project.

    It is asked after the frames were read, and of all that has come: what is deleted meanwhile is not told either.
    """
    asked = {one for frame in frames for one in ids_in(frame)}
    gone = await purged_among(reader, asked, workspace_id=stream_id) if asked else set()
    return [without_gone(one, gone) for one in frames] if gone else frames
