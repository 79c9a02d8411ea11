"""Every change of a workspace, kept for replay and announced to the open sockets."""

from collections.abc import Sequence
from functools import partial

import redis.asyncio as redis
from chassis.broker.consumer import Consumer, after_commit, batch_consumer
from chassis.broker.port import Queue
from chassis.outbox.envelope import EventEnvelope
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.live.service import keep_all
from notifications_service.wake_ups import WakeUp, announce

NOUNS = (
    "assignee",
    "attachment",
    "category",
    "checklist_item",
    "comment",
    "filter",
    "invitation",
    "job",
    "label",
    "member",
    "personal_label",
    "project",
    "project_member",
    "reaction",
    "relation",
    "reminder",
    "star",
    "status",
    "task",
    "task_metadata",
    "task_share",
    "watcher",
    "workspace",
)
"""Everything that the tasks service's change log is about: readers see a workspace up to the first gap in it."""
SOURCE_NAME = "/taskloom/tasks"
"""Of files the attachments service tells, too, under the same ids, and without their places in the log."""
GATHER_SECONDS = 0.02
"""How long changes may wait for others after those before them: what open sockets are told of waits as long."""
LIVE = Queue("notifications.live", tuple(f"{noun}.*.v1" for noun in NOUNS), ordered=False)


def live_consumer(server: redis.Redis) -> Consumer:
    """Return the consumer that announces what it has kept through `server`."""

    @batch_consumer(queue=LIVE.name, types=LIVE.patterns, sources=[SOURCE_NAME], gather_seconds=GATHER_SECONDS)
    async def on_changes(events: Sequence[EventEnvelope], session: AsyncSession) -> None:
        advances = await keep_all(session, events=events)
        wake_ups = [WakeUp(workspace_id=one.workspace_id, head=one.head, joined=one.joined) for one in advances]
        if wake_ups:
            after_commit(session, partial(announce, server, wake_ups))

    return on_changes
