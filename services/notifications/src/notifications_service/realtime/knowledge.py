"""Tasks as they are known beside the stream: for what hangs on a task, and for who watches it.

What has been read of a stream is newer than what is kept of its tasks, so it is remembered while somebody asks.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from notifications_service.cards.repository import find_tasks, find_watchers
from notifications_service.realtime.protocol import TASK, KnownTask, is_personal

REMEMBERED = 2000
WATCHER = "watcher"
UNKNOWN = KnownTask()


async def tasks_known(reader: AsyncConnection, tasks: Collection[UUID]) -> dict[UUID, KnownTask]:
    """Return what is kept of some tasks."""
    watchers: defaultdict[UUID, set[str]] = defaultdict(set)
    for row in await find_watchers(reader, tasks):
        if row["is_watching"]:
            watchers[row["task_id"]].add(str(row["user_id"]))
    data = {row["task_id"]: row["data"] for row in await find_tasks(reader, tasks)}
    return {task: KnownTask(data.get(task), frozenset(watchers[task])) for task in {*data, *watchers}}


class TaskMemory:
    """The tasks that were met last."""

    def __init__(self) -> None:
        self._known: OrderedDict[UUID, KnownTask] = OrderedDict()

    async def learn(self, reader: AsyncConnection, rows: Sequence[Mapping[Any, Any]]) -> None:
        """Look up, at once, the tasks of some events that are not known.

        In a user's own stream that is all of them, each time: what happens to tasks is told in their workspaces.
        """
        if any(is_personal(row) for row in rows):
            self.forget()
        met = {one for row in rows if (one := _task_of(row["frame"])) is not None}
        if unknown := met - self._known.keys():
            found = await tasks_known(reader, unknown)
            for task in unknown:
                self._known[task] = found.get(task, UNKNOWN)
        for task in met:
            self._known.move_to_end(task)
        while len(self._known) > max(REMEMBERED, len(met)):
            self._known.popitem(last=False)

    def forget(self) -> None:
        """Forget all: what is not kept up is not right any more."""
        self._known.clear()

    def after(self, row: Mapping[Any, Any]) -> KnownTask | None:
        """Take in what an event says of its task, and return what is known of that then; nothing for none."""
        task = _task_of(row["frame"])
        if task is None:
            return None
        known = _changed(self._known.get(task, UNKNOWN), row["type"], row["frame"].get("data"))
        self._known[task] = known
        return known


def _task_of(frame: Mapping[str, Any]) -> UUID | None:
    task = frame.get("task_id")
    return None if task is None else UUID(task)


def _changed(known: KnownTask, event_type: str, data: Any) -> KnownTask:
    kind, _, verb = event_type.removesuffix(".v1").partition(".")
    if not isinstance(data, dict):
        return known
    if kind == TASK:
        return replace(known, data=data)
    if kind == WATCHER:
        watches = verb != "removed" and data.get("is_watching", True)
        user = frozenset({str(data.get("user_id"))})
        return replace(known, watchers=known.watchers | user if watches else known.watchers - user)
    return known
