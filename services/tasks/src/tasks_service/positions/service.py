"""Moving a task to another place in the order of its project."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.edits.service import change_all
from tasks_service.positions import repository
from tasks_service.positions.errors import NeighborNotFound, NoRoomLeft
from tasks_service.positions.rules import place_between
from tasks_service.positions.schemas import Placement
from tasks_service.subtasks.errors import NotApart
from tasks_service.tasks import repository as tasks
from tasks_service.tasks.events import TASK_UPDATED
from tasks_service.tasks.service import Edit, apply_edit, hold_tree
from tasks_service.versions.schemas import Expectation


async def place_task(
    session: AsyncSession, *, task: RowMapping, wanted: Placement, expected: Expectation, actor: Principal
) -> RowMapping:
    """Move a task next to another one, which changes this task alone; one that is there already stays as it is.

    Raises NeighborNotFound, NoRoomLeft, and what versions.service.change raises.
    """
    task = await hold_tree(session, task, actor)
    is_after = wanted.after_id is not None
    anchor = await _neighbor(session, task, wanted.after_id or wanted.before_id, actor)
    far = await repository.find_next(session, of=task, position=anchor["position"], is_after=is_after)
    if far is not None and far["id"] == task["id"]:
        place = task["position"]
    else:
        ends = (anchor["position"], None if far is None else far["position"])
        place = place_between(*(ends if is_after else reversed(ends)))
    if place is None:
        raise NoRoomLeft
    return await apply_edit(session, task=task, edit=Edit(TASK_UPDATED, {"position": place}, expected), actor=actor)


async def put_back(session: AsyncSession, *, task: RowMapping, position: str, actor: Principal) -> RowMapping:
    """Give a task a place that it had; when another one has come there since, it goes right behind that.

    Raises TaskNotFound, ProjectArchived, NoRoomLeft, and what versions.service.change raises.
    """
    task = await hold_tree(session, task, actor)
    place: str | None = position
    if await repository.is_taken(session, of=task, position=position):
        far = await repository.find_next(session, of=task, position=position, is_after=True, but_for=task["id"])
        place = place_between(position, None if far is None else far["position"])
    if place is None:
        raise NoRoomLeft
    edit = Edit(TASK_UPDATED, {"position": place}, Expectation(is_given=True))
    return await apply_edit(session, task=task, edit=edit, actor=actor)


async def put_all_back(
    session: AsyncSession, *, places: Mapping[UUID, str], rows: Sequence[RowMapping], actor: Principal
) -> None:
    """Give locked tasks of one project, whose tree is locked, places that they had, as put_back does.

    Raises NotApart where others have one of them now.
    """
    wanted = {row["id"]: places[row["id"]] for row in rows if row["position"] != places[row["id"]]}
    if not wanted:
        return
    moved, places_wanted = [row for row in rows if row["id"] in wanted], [*wanted.values()]
    if len(set(places_wanted)) < len(wanted) or not {row["position"] for row in moved}.isdisjoint(places_wanted):
        raise NotApart
    if await repository.is_any_taken(session, of=rows[0], positions=places_wanted, but=[*wanted]):
        raise NotApart
    values = {task_id: {"position": place} for task_id, place in wanted.items()}
    await change_all(session, rows=moved, values=values, actor=actor)


async def _neighbor(session: AsyncSession, task: RowMapping, neighbor_id: UUID | None, actor: Principal) -> RowMapping:
    found = None
    if neighbor_id is not None and neighbor_id != task["id"]:
        found = await tasks.find_visible(session, caller=actor, task_id=neighbor_id)
    if found is None or found["project_id"] != task["project_id"]:
        raise NeighborNotFound
    return found
