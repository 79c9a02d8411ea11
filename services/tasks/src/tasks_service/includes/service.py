"""What a task can be read with beside itself: one entry of the registry each, loaded for all tasks at once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.assignees import repository as assignees
from tasks_service.assignees.schemas import in_order
from tasks_service.checklists.repository import progress_of
from tasks_service.comments.repository import comments_on
from tasks_service.labels.repository import of_tasks as labels_of_tasks
from tasks_service.labels.schemas import TaskLabel
from tasks_service.markdown.rules import html_of
from tasks_service.stars.repository import starred_among
from tasks_service.tasks.policies import permissions_of
from tasks_service.tasks.schemas import Progress, TaskOut, TaskView

Reader = AsyncConnection | AsyncSession
Rows = Sequence[RowMapping]
Load = Callable[[Reader, Principal, Rows], Awaitable[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class Included:
    """What there may be beside a task: the field of TaskView that has it, and how it is loaded, one value a task."""

    field: str
    load: Load
    description: str


async def _permissions(_reader: Reader, caller: Principal, rows: Rows) -> Sequence[Any]:
    return [permissions_of(caller, row) for row in rows]


async def _assignees(reader: Reader, _caller: Principal, rows: Rows) -> Sequence[Any]:
    found = await assignees.list_of(reader, [row["id"] for row in rows])
    return [in_order([one for one in found if one["task_id"] == row["id"]], row) for row in rows]


async def _labels(reader: Reader, caller: Principal, rows: Rows) -> Sequence[Any]:
    found = await labels_of_tasks(reader, caller=caller, task_ids=[row["id"] for row in rows])
    return [[TaskLabel.of(label) for label in found.get(row["id"], [])] for row in rows]


async def _comments_count(reader: Reader, _caller: Principal, rows: Rows) -> Sequence[Any]:
    found = await comments_on(reader, [row["id"] for row in rows])
    return [found.get(row["id"], 0) for row in rows]


async def _checklist_progress(reader: Reader, _caller: Principal, rows: Rows) -> Sequence[Any]:
    found = await progress_of(reader, [row["id"] for row in rows])
    counts = [found.get(row["id"], (0, 0)) for row in rows]
    return [Progress.model_construct(done=done, total=total) for done, total in counts]


async def _starred(reader: Reader, caller: Principal, rows: Rows) -> Sequence[Any]:
    found = await starred_among(reader, user_id=caller.user_id, task_ids=[row["id"] for row in rows])
    return [row["id"] in found for row in rows]


async def _html(_reader: Reader, _caller: Principal, rows: Rows) -> Sequence[Any]:
    texts = [row["description"] for row in rows]
    # Beside the loop, since a page of long ones takes a while.
    return await asyncio.to_thread(lambda: [None if text is None else html_of(text) for text in texts])


REGISTRY: Mapping[str, Included] = {
    "permissions": Included("permissions", _permissions, "what you may do with it"),
    "assignees": Included("assignee_details", _assignees, "what is said of its assignees"),
    "labels": Included("label_details", _labels, "what is said of the labels on it, with your own ones"),
    "comments_count": Included("comments_count", _comments_count, "how many comments there are"),
    "checklist_progress": Included("checklist_progress", _checklist_progress, "how far its checklist is"),
    "starred": Included("is_starred", _starred, "whether you have given it a star"),
    "html": Included("description_html", _html, "its description as sanitized HTML"),
}


async def shown(reader: Reader, rows: Rows, caller: Principal, include: Sequence[str]) -> list[TaskOut]:
    """Make the resources of tasks, with what their reader asks for: a constant number of statements."""
    if not include or not rows:
        return [TaskOut.of(row) for row in rows]
    wanted = [REGISTRY[name] for name in include]
    columns = {one.field: await one.load(reader, caller, rows) for one in wanted}
    return [
        TaskView.with_more(row, {field: values[at] for field, values in columns.items()}) for at, row in enumerate(rows)
    ]
