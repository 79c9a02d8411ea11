"""Putting the workspace of `dataset` into a database: by COPY, with the triggers that fill in what is not given."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import dataset
from dataset import BEGIN, END, WORKSPACE

AT_ONCE = 2
START_SECONDS = 60.0
CHUNK = 5
"""Batches that a process makes before it asks for more."""
MANY = 50_000
"""From how many new tasks on it is faster to make inverted indexes anew."""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def fill(url: str, size: int) -> None:
    """Let the workspace have so many tasks. Raises SystemExit where it has more."""
    there = asyncio.run(_prepare(url))
    if there > size or there not in (0, *dataset.SIZES):
        raise SystemExit(f"There are {there:,} tasks already, which is not a size that can grow to {size:,}.")
    while there < size:
        there = _grow(url, there, next(step for step in dataset.SIZES if step > there))


def _grow(url: str, there: int, size: int) -> int:
    asyncio.run(lay_open(url, is_large=size - there > MANY))
    numbers = range(there // dataset.BATCH, size // dataset.BATCH)
    chunks = [numbers[first : first + CHUNK] for first in range(0, len(numbers), CHUNK)]
    with ProcessPoolExecutor(AT_ONCE) as processes:
        for _ in processes.map(_fill_chunk, [url] * len(chunks), chunks):
            pass
    asyncio.run(_share_single_tasks(url))
    asyncio.run(close_up(url))
    return size


def _fill_chunk(url: str, numbers: range) -> None:
    async def copy() -> None:
        async with connected(url) as connection:
            for number in numbers:
                await _copy(connection, dataset.batch(number))

    asyncio.run(copy())


async def _copy(connection: Connection, batch: dataset.Batch) -> None:
    async with connection.transaction():
        for table, columns in dataset.COLUMNS.items():
            rows = io.BytesIO(batch.text(table))
            await connection.copy_to_table(table, schema_name="tasks", source=rows, columns=columns, format="text")


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """Open a connection for a while, also to a server that is still starting up."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            connection = await asyncpg.connect(url)
            break
        except asyncpg.CannotConnectNowError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
    try:
        yield connection
    finally:
        await connection.close()


async def _prepare(url: str) -> int:
    """Make all but the tasks, unless it is there; return how many tasks there are."""
    async with connected(url) as connection:
        await connection.execute(DROPPED)
        if await connection.fetchval("SELECT EXISTS (SELECT FROM public.dropped_index)"):
            raise SystemExit("This folder was left in the middle of being filled: delete it.")
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM tasks.workspace WHERE id = $1)", WORKSPACE):
            async with connection.transaction():
                for table, columns, rows in _frame():
                    await connection.copy_records_to_table(table, schema_name="tasks", columns=columns, records=rows)
        return int(await connection.fetchval("SELECT count(*) FROM tasks.task"))


def _frame() -> Iterator[tuple[str, list[str], list[tuple[Any, ...]]]]:
    """Yield the workspace and its people, projects, labels and categories: table, columns, rows."""
    owner, born = dataset.USERS[dataset.OWNER], BEGIN - timedelta(days=1)
    yield (
        "workspace",
        ["id", "name", "created_by", "version", "created_at", "updated_at"],
        [(WORKSPACE, "Many", owner, 1, born, born)],
    )
    yield "change_counter", ["workspace_id", "last_seq"], [(WORKSPACE, 0)]
    yield (
        "person",
        ["id", "display_name", "email_canonical", "email_verified", "kind", "status", "timezone", "version"],
        [
            (user, f"{dataset.WORDS[9_000 + number].title()} {dataset.WORDS[9_500 + number].title()}", address, *known)
            for number, user in enumerate(dataset.USERS)
            for address, known in [(f"user{number}@example.com", (True, "human", "active", "Europe/Berlin", 1))]
        ],
    )
    yield (
        "member",
        ["id", "workspace_id", "user_id", "role", "joined_seq", "version", "created_at"],
        [
            (dataset.identifier("member", number), WORKSPACE, user, dataset.role(number), 0, 1, born)
            for number, user in enumerate(dataset.USERS)
        ],
    )
    yield from _projects(owner)
    for table, ids in (("label", dataset.LABELS), ("category", dataset.CATEGORIES)):
        names = [(of, f"{table} {dataset.WORDS[300 + place]}") for place, of in enumerate(ids)]
        columns = ["id", "workspace_id", "name", "name_key", "created_by", "version", "created_at", "updated_at"]
        yield table, columns, [(of, WORKSPACE, name, name, owner, 1, born, born) for of, name in names]


def _projects(owner: str) -> Iterator[tuple[str, list[str], list[tuple[Any, ...]]]]:
    born = BEGIN - timedelta(days=1)
    columns = ["id", "workspace_id", "name", "prefix", "is_inbox", "visibility", "archived_at", "created_by"]
    yield (
        "project",
        [*columns, "version", "created_at", "updated_at"],
        [
            (
                *(project, WORKSPACE, f"Project {dataset.WORDS[200 + place]}", f"P{place}", False),
                "workspace" if place < dataset.OPEN_PROJECTS else "private",
                END if place in dataset.ARCHIVED else None,
                *(owner, 1, born, born),
            )
            for place, project in enumerate(dataset.PROJECT_IDS)
        ],
    )
    columns = ["id", "workspace_id", "project_id", "user_id", "role", "version", "created_at"]
    roles = dataset.project_roles().items()
    yield (
        "project_member",
        columns,
        [
            (
                *(dataset.identifier(f"project member {place}", user), WORKSPACE),
                *(dataset.PROJECT_IDS[place], dataset.USERS[user], role, 1, born),
            )
            for (place, user), role in roles
        ],
    )


async def lay_open(url: str, *, is_large: bool) -> None:
    """Let go of what is dear to keep with each row, and can be made at once later."""
    async with connected(url) as connection, connection.transaction():
        await connection.execute(DROPPED)
        await _foreign_keys(connection, "DISABLE")
        inverted = await connection.fetch(INVERTED) if is_large else []
        for index in inverted:
            await connection.execute("INSERT INTO public.dropped_index VALUES ($1)", index["definition"])
            await connection.execute(f"DROP INDEX {index['name']}")


async def close_up(url: str) -> None:
    """Make again what `lay_open` let go of, count the numbers of projects, and tell the planner."""
    async with connected(url) as connection:
        await connection.execute("SET maintenance_work_mem = '1GB'; SET max_parallel_maintenance_workers = 2")
        for index in await connection.fetch("SELECT definition FROM public.dropped_index"):
            await connection.execute(index["definition"])
        await connection.execute("TRUNCATE public.dropped_index")
        await _foreign_keys(connection, "ENABLE")
        await connection.execute(NUMBERED)
        await connection.execute("VACUUM (ANALYZE)")


DROPPED = "CREATE TABLE IF NOT EXISTS public.dropped_index (definition text)"
INVERTED = """
    SELECT c.oid::regclass::text AS name, pg_get_indexdef(c.oid) AS definition
    FROM pg_class c JOIN pg_am am ON am.oid = c.relam
    WHERE am.amname IN ('gin', 'gist') AND c.relkind = 'i' AND c.relnamespace = 'tasks'::regnamespace
"""
FOREIGN_KEYS = """
    SELECT tgrelid::regclass::text AS table, quote_ident(tgname) AS trigger
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE tgisinternal AND relnamespace = 'tasks'::regnamespace
"""


async def _foreign_keys(connection: Connection, how: str) -> None:
    """Have the rows looked at that are referred to, or not: they are there."""
    for one in await connection.fetch(FOREIGN_KEYS):
        await connection.execute(f"ALTER TABLE {one['table']} {how} TRIGGER {one['trigger']}")


NUMBERED = """
    UPDATE tasks.project SET next_number = last.number + 1
    FROM (SELECT project_id, max(number) AS number FROM tasks.task GROUP BY project_id) AS last
    WHERE last.project_id = project.id
"""
SHARE = """
    INSERT INTO tasks.task_share (id, workspace_id, task_id, user_id, role, shared_by, version, created_at)
    SELECT uuidv7(), workspace_id, id, $1, 'editor', created_by, 1, created_at
    FROM tasks.task WHERE id = ANY ($2::uuid[])
    ON CONFLICT DO NOTHING
"""


async def _share_single_tasks(url: str) -> None:
    ids = [row[0] for row in dataset.batch(0).rows["task"]]
    async with connected(url) as connection:
        for guest in dataset.OF_TASKS:
            shared = [ids[(guest * 31 + turn * 97) % len(ids)] for turn in range(3)]
            await connection.execute(SHARE, dataset.USERS[guest], shared)
