"""Every change of a workspace, kept for replay and announced to the open sockets."""

import redis.asyncio as redis
from chassis.broker.consumer import Consumer, after_commit, consumer
from chassis.broker.port import Queue
from chassis.outbox.envelope import EventEnvelope
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.live.service import keep
from notifications_service.wake_ups import WakeUp, announce

LIVE = Queue("notifications.live", ("task.*.v1", "workspace.*.v1", "project.*.v1", "member.*.v1"))


def live_consumer(server: redis.Redis) -> Consumer:
    """Return the consumer that announces what it has kept through `server`."""

    @consumer(queue=LIVE.name, types=LIVE.patterns)
    async def on_change(event: EventEnvelope, session: AsyncSession) -> None:
        advance = await keep(session, event)
        if advance is not None:
            wake_up = WakeUp(workspace_id=advance.workspace_id, head=advance.head, joined=advance.joined)
            after_commit(session, lambda: announce(server, wake_up))

    return on_change
