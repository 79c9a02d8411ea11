"""A workspace of many tasks, and what reading and changing it takes at each size.

python bench/many.py --tasks 100000 --keep DIR           # fill a data folder and leave it
python bench/many.py --tasks 100000 --keep DIR --serve   # the same, and let it be used until Ctrl-C
"""

import argparse
import asyncio
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dataset
from chassis.db.migrations import upgrade
from filling import connected, fill
from tasks_service.db import ROOT, ROW_SECURITY
from testkit.databases import owned_database
from testkit.servers import postgres

NAME = "many"
SETTINGS = (
    "shared_preload_libraries=pg_stat_statements,auto_explain",
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "autovacuum=off",
)
"""What a server of such a size has, and no work of its own between requests."""


def main() -> int:
    """Fill, and serve or end."""
    parser = argparse.ArgumentParser(description="Makes a workspace of many tasks.")
    parser.add_argument("--tasks", type=int, choices=dataset.SIZES, default=dataset.SIZES[-1])
    parser.add_argument("--keep", type=Path, help="a folder for PostgreSQL's data, which stays, and is used again")
    parser.add_argument("--serve", action="store_true", help="let others use the database, until Ctrl-C")
    options = parser.parse_args()
    with _folder(options.keep) as folder, postgres(folder, *SETTINGS) as server:
        owned = prepared(server)
        started = time.monotonic()
        fill(f"{server}/{NAME}", options.tasks)
        print(f"{options.tasks:,} tasks, made in {time.monotonic() - started:.0f} s", flush=True)
        if options.serve:
            _serve(server, owned)
    return 0


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="taskloom-many-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    else:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()


def prepared(server: str) -> str:
    """Make the database unless it is there, bring it up to date, and return the URL of the role that owns it."""

    async def exists() -> bool:
        async with connected(f"{server}/postgres") as connection:
            return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", NAME))

    async def observe() -> None:
        async with connected(f"{server}/{NAME}") as connection:
            await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

    if not asyncio.run(exists()):
        made = owned_database(server, NAME, lambda url: upgrade(ROOT, url=url), becomes=ROW_SECURITY.role)
        url = made.url.get_secret_value()
    else:
        url = f"postgresql://{NAME}_owner:{NAME}_owner@{server.rpartition('@')[2]}/{NAME}"
        upgrade(ROOT, url=url)
    asyncio.run(observe())
    return url


def _serve(server: str, owned: str) -> None:
    print(f"Superuser: {server}/{NAME}\nThe service's role: {owned}", flush=True)
    print(f"Workspace {dataset.WORKSPACE}; users, with their role in it:")
    shown = (dataset.OWNER, dataset.MEMBERS[0], dataset.OF_PROJECTS[0], dataset.OF_TASKS[0])
    for user in shown:
        print(f"  {dataset.USERS[user]} {dataset.role(user)}", flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    raise SystemExit(main())
