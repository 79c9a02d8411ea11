"""The bare floor: what the same reads and writes cost with nothing around them.

A proxy (uvicorn and aiohttp) in front of a service (uvicorn and asyncpg) that runs the same SQL: no token, no limit,
no permission, no envelope, no event. Started as `floor.py proxy PORT UPSTREAM` and as
`floor.py service PORT DATABASE_URL`.
"""

import asyncio
import sys
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import asyncpg
import orjson
import uvicorn
from uuid_utils.compat import uuid7

READ = """
SELECT task.*, member.role FROM tasks.task JOIN tasks.member ON member.workspace_id = task.workspace_id
WHERE member.user_id = $1 AND task.deleted_at IS NULL AND task.id = $2
"""
LIST = """
WITH place AS (
    SELECT project.id, member.role FROM tasks.project JOIN tasks.member ON member.workspace_id = project.workspace_id
    WHERE member.user_id = $1 AND project.archived_at IS NULL
)
SELECT task.*, place.role FROM place CROSS JOIN LATERAL (
    SELECT * FROM tasks.task WHERE project_id = place.id AND status = $2 AND deleted_at IS NULL
    ORDER BY id DESC LIMIT $3
) AS task
ORDER BY task.id DESC LIMIT $3
"""
COUNT = """
SELECT count(*) FROM tasks.task JOIN tasks.project ON project.id = task.project_id
JOIN tasks.member ON member.workspace_id = project.workspace_id
WHERE member.user_id = $1 AND project.archived_at IS NULL AND task.status = $2 AND task.deleted_at IS NULL
"""
INBOX = """
SELECT project.id, project.workspace_id, member.role FROM tasks.project
JOIN tasks.workspace ON workspace.id = project.workspace_id JOIN tasks.member ON member.workspace_id = workspace.id
WHERE workspace.personal_owner_id = $1 AND member.user_id = $1 AND project.is_inbox
"""
ADD = """
INSERT INTO tasks.task (id, workspace_id, project_id, title, status, priority, created_by, version, created_at,
                        updated_at)
VALUES ($1, $2, $3, $4, 'todo', 'none', $5, 1, now(), now()) RETURNING *
"""
NUMBER = "UPDATE tasks.change_counter SET last_seq = last_seq + 1 WHERE workspace_id = $1 RETURNING last_seq"
AUDIENCE = "SELECT user_id FROM tasks.member WHERE workspace_id = $1"
LOG = """
INSERT INTO tasks.change (workspace_id, seq, event_id, type, occurred_at, entity_type, entity_id, project_id, version,
                          actor, changes, resource, audience, request_id, state)
VALUES ($1, $2, $3, 'task.created.v1', now(), 'task', $4, $5, 1, '{}', '[]', $6, $7, 'floor', 'sent')
"""


class Service:
    """GET /tasks/{id}, GET /tasks?status=..&per_page=.. and POST /tasks for the user in `x-user`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: Any = None
        self._opening = asyncio.Lock()

    async def __call__(self, scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        if scope["type"] != "http":
            return
        if self._pool is None:
            await self._open()
        user = uuid.UUID(dict(scope["headers"])[b"x-user"].decode())
        if scope["method"] == "POST":
            body = as_json(await self.add(user, orjson.loads((await receive())["body"])["title"]))
        elif scope["query_string"]:
            body = await self._list(user, dict(parse_qsl(scope["query_string"].decode())))
        else:
            body = as_json(await self._pool.fetchrow(READ, user, uuid.UUID(scope["path"].rpartition("/")[2])))
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _open(self) -> None:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(self._url, min_size=10, max_size=10)

    async def _list(self, user: uuid.UUID, asked: dict[str, str]) -> bytes:
        rows = await self._pool.fetch(LIST, user, asked["status"], int(asked["per_page"]))
        total = await self._pool.fetchval(COUNT, user, asked["status"])
        return orjson.dumps({"data": [dict(row) for row in rows], "total": total}, default=str)

    async def add(self, user: uuid.UUID, title: str) -> Any:
        """Make a task in the Inbox of the user, and return it."""
        async with self._pool.acquire() as connection, connection.transaction():
            inbox = await connection.fetchrow(INBOX, user)
            row = await connection.fetchrow(ADD, uuid7(), inbox["workspace_id"], inbox["id"], title, user)
            seq = await connection.fetchval(NUMBER, inbox["workspace_id"])
            audience = [member["user_id"] for member in await connection.fetch(AUDIENCE, inbox["workspace_id"])]
            place = inbox["workspace_id"], seq, uuid7(), row["id"], inbox["id"]
            await self.log(connection, row, place, audience)
            return row

    async def log(self, connection: Any, row: Any, place: Sequence[Any], audience: Sequence[uuid.UUID]) -> None:
        """Write into the log that a task was made: its workspace, number, event, id and project are the `place`."""
        await connection.execute(LOG, *place, as_json(row).decode(), audience)


class Proxy:
    """Passes everything on to one upstream."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        if scope["type"] != "http":
            return
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        body = (await receive()).get("body") or None
        headers = {name.decode(): value.decode() for name, value in scope["headers"] if name != b"host"}
        query = scope["query_string"].decode()
        url = f"{self._upstream}{scope['path']}{'?' if query else ''}{query}"
        async with self._session.request(scope["method"], url, headers=headers, data=body) as answer:
            content = await answer.read()
            kept = [(b"content-type", answer.headers["content-type"].encode())]
            await send({"type": "http.response.start", "status": answer.status, "headers": kept})
            await send({"type": "http.response.body", "body": content})


def as_json(row: Any) -> bytes:
    """Return a row as JSON; asyncpg's UUIDs are a subclass that orjson does not know."""
    return orjson.dumps(dict(row), default=str)


def serve(service: Callable[[str], Any]) -> None:
    """Be the proxy, or the service, as the command line says."""
    part = Proxy if sys.argv[1] == "proxy" else service
    uvicorn.run(
        part(sys.argv[3]),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        http="httptools",
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
    )


if __name__ == "__main__":
    serve(Service)
