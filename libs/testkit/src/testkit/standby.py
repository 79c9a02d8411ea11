"""A streaming replica of a PostgreSQL server that `testkit.servers.postgres` runs, as an installation would make it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from testkit.servers import FAST, HOST, POSTGRES_BINARIES, Server, free_port, postgres, run_as, system_user, wait_until
from testkit.waiting import eventually


@dataclass
class Standby(Server):
    """A replica. A test makes it lag, kills it, starts it again, or makes it a primary."""

    primary_url: str = ""

    def start(self) -> None:
        """Start it and wait until it can be read from."""
        super().start()
        asked = [str(POSTGRES_BINARIES / "pg_isready"), "--quiet", "-h", HOST, "-p", str(self.port)]
        wait_until(lambda: subprocess.run(asked, check=False).returncode == 0, what="a replica that is ready")

    async def pause(self) -> None:
        """Let what comes from the primary lie: from here on it lags."""
        await self._run("SELECT pg_wal_replay_pause()")

        async def stands_still() -> bool:
            return bool(await self._run("SELECT pg_get_wal_replay_pause_state() = 'paused'"))

        await eventually(stands_still)

    async def resume(self) -> None:
        """Let it replay again."""
        await self._run("SELECT pg_wal_replay_resume()")

    async def catch_up(self) -> None:
        """Wait until it has everything that the primary has now."""
        primary = await asyncpg.connect(f"{self.primary_url}/postgres")
        # Where commits are not waited for, this one is, and with it all before it.
        await primary.execute("SET synchronous_commit = on")
        await primary.execute("SELECT pg_logical_emit_message(true, 'testkit', '')")
        position = await primary.fetchval("SELECT pg_current_wal_flush_lsn()::text")
        await primary.close()

        async def has_it() -> bool:
            return bool(await self._run(f"SELECT pg_last_wal_replay_lsn() >= '{position}'"))

        await eventually(has_it)

    async def promote(self) -> None:
        """Make it a primary, which follows nobody any more."""
        await self._run("SELECT pg_promote()")

    async def _run(self, statement: str) -> object:
        connection = await asyncpg.connect(f"{self.url}/postgres")
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()


@contextmanager
def replicated(*settings: str) -> Iterator[Standby]:
    """Run a server that waits for its commits and is the tests' alone, with a replica; `settings` are the replica's."""
    with (
        TemporaryDirectory(prefix="taskloom-primary-", ignore_cleanup_errors=True) as first,
        TemporaryDirectory(prefix="taskloom-standby-", ignore_cleanup_errors=True) as second,
        postgres(Path(first), "synchronous_commit=on") as url,
        standby(Path(second), url, *settings) as found,
    ):
        yield found


@contextmanager
def standby(folder: Path, primary_url: str, *settings: str) -> Iterator[Standby]:
    """Copy a running server into the folder, and run it as its replica; `settings` as in `postgres`."""
    user, data, port = system_user(folder), folder / "postgres", free_port()
    _copy(primary_url, data, user)
    options = [part for setting in (*FAST, *settings) for part in ("-c", setting)]
    command = [str(POSTGRES_BINARIES / "postgres"), "-D", str(data), "-p", str(port), "-h", HOST, "-k", "", *options]
    server = Standby(
        command, f"postgresql://postgres@{HOST}:{port}", port, folder / "postgres.log", user, primary_url=primary_url
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _copy(primary_url: str, data: Path, user: str | None) -> None:
    # The server's user writes into a folder that this one has made.
    data.mkdir(mode=0o700)
    if user is not None:
        subprocess.run(["chown", user, data], check=True)
    command = [str(POSTGRES_BINARIES / "pg_basebackup"), "-d", f"{primary_url}/postgres", "-D", str(data)]
    run_as(user, [*command, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync"])
