"""What the worker tells the API processes through Redis: a workspace can be read further. Best effort on both sides."""

from collections.abc import Sequence
from uuid import UUID

import redis.asyncio as redis
from pydantic import BaseModel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CHANNEL = "taskloom:live"
CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 0.5


class WakeUp(BaseModel):
    """Up to which change a workspace can be read, and which users it has just become visible to."""

    workspace_id: UUID
    head: int
    joined: list[UUID]


def open_redis(url: str) -> redis.Redis:
    """Return a client that fails at once when the server is away: both sides have something better to do then."""
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


async def announce(server: redis.Redis, wake_ups: Sequence[WakeUp]) -> None:
    """Wake the API processes, in one round trip however many workspaces it is about. Raises RedisError."""
    said = server.pipeline(transaction=False)
    for one in wake_ups:
        said.publish(CHANNEL, one.model_dump_json())
    await said.execute()
