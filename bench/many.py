"""A workspace of many tasks, and what reading and changing it takes at each size.

python bench/many.py                                     # fill, measure at each size up to a million, print a table
python bench/many.py --tasks 100000 --keep DIR           # the same up to there, in a data folder that stays
python bench/many.py --tasks 100000 --keep DIR --serve   # fill only, and let it be used until Ctrl-C
python bench/many.py --tasks 100000 --keep DIR --only "search owner" --plans 20   # some cases, and the slow plans
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
from chassis.clock import utcnow
from chassis.db.migrations import upgrade
from filling import connected, fill
from many_report import as_text
from many_run import Run, run_all
from run import RESULTS, commit
from tasks_service.db import ROOT, ROW_SECURITY
from testkit.databases import owned_database
from testkit.servers import postgres

NAME = "many"
SETTINGS = (
    "shared_preload_libraries=pg_stat_statements,auto_explain",
    "pg_stat_statements.track_utility=off",
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "autovacuum=off",
)
"""What a server of such a size has, and no work of its own between requests."""


def main() -> int:
    """Fill, and measure or serve."""
    options = _parser().parse_args()
    with _folder(options.keep) as folder, postgres(folder, *SETTINGS, *_plans(options.plans)) as server:
        owned = prepared(server)
        if options.serve:
            _fill(server, options.tasks)
            _serve(server, owned)
            return 0
        runs = list(_grow(server, owned, options))
    text = as_text(runs)
    print(text)
    if options.only is None and [run.size for run in runs] == list(dataset.SIZES):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{utcnow():%Y-%m-%d}-many-{commit()}.txt").write_text(text, encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Makes a workspace of many tasks, and measures it at each size.")
    parser.add_argument("--tasks", type=int, choices=dataset.SIZES, default=dataset.SIZES[-1])
    parser.add_argument("--keep", type=Path, help="a folder for PostgreSQL's data, which stays, and is used again")
    parser.add_argument("--serve", action="store_true", help="measure nothing, let others use the database")
    parser.add_argument("--last", action="store_true", help="measure at the last size alone")
    parser.add_argument("--only", help="measure cases whose group, name and caller have all of these words")
    parser.add_argument("--plans", type=int, metavar="MS", help="log the plans of statements slower than that")
    return parser


def _plans(milliseconds: int | None) -> tuple[str, ...]:
    if milliseconds is None:
        return ()
    return (f"auto_explain.log_min_duration={milliseconds}", "auto_explain.log_analyze=on")


def _grow(server: str, owned: str, options: argparse.Namespace) -> Iterator[Run]:
    """Measure at each size on the way, but for those that the folder has grown beyond."""
    there = asyncio.run(_count(server))
    for size in dataset.SIZES:
        if size > options.tasks or size < (options.tasks if options.last else there):
            continue
        seconds = _fill(server, size)
        yield run_all(owned, f"{server}/{NAME}", size, only=options.only).having_taken(seconds)


async def _count(server: str) -> int:
    async with connected(f"{server}/{NAME}") as connection:
        return int(await connection.fetchval("SELECT count(*) FROM tasks.task"))


def _fill(server: str, size: int) -> float:
    started = time.monotonic()
    fill(f"{server}/{NAME}", size)
    seconds = time.monotonic() - started
    print(f"{size:,} tasks, filled in {seconds:.0f} s", flush=True)
    return seconds


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
