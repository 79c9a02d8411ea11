"""Starting what is measured: a copy of Taskloom, and users with a task each who sign up."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
from taskloom_cli.data import DataFolder
from taskloom_cli.environment import Ports, process_environments, read_passwords
from taskloom_cli.ports import HOST, free_ports
from taskloom_cli.postgres import SUPERUSER

PASSWORD = "violet-harbor-77"  # noqa: S105 - it opens nothing
UNLIMITED = "100000000"
LIMITS = ("GATEWAY_RATE_LIMIT_PER_MINUTE", "GATEWAY_ANONYMOUS_LIMIT_PER_MINUTE", "GATEWAY_LOGIN_LIMIT_PER_MINUTE")
NO_LIMITS = dict.fromkeys(LIMITS, UNLIMITED)
AT_ONCE = 8
TRIES = 30


@dataclass(frozen=True)
class User:
    """Somebody with a token and one task."""

    id: str
    token: str
    task: str


@dataclass(frozen=True)
class Copy:
    """A running copy."""

    api: str
    data: Path
    pid: int
    ready_seconds: float

    def pids(self) -> dict[str, int]:
        """Return the processes by name; PostgreSQL is its first process."""
        found: dict[str, int] = json.loads((self.data / "run.json").read_text(encoding="utf-8"))["pids"]
        return found

    def database_url(self) -> str:
        """Return the URL of the tasks service's database."""
        command = psutil.Process(self.pids()["PostgreSQL"]).cmdline()
        port = command[command.index("-p") + 1]
        password = read_passwords(DataFolder(self.data, ephemeral=True)).roles["tasks"]
        return f"postgresql://tasks:{password}@{HOST}:{port}/taskloom"

    def superuser_url(self) -> str:
        """Return the URL of the same database for who may do everything."""
        password = read_passwords(DataFolder(self.data, ephemeral=True)).superuser
        return f"postgresql://{SUPERUSER}:{password}@{self.database_url().rpartition('@')[2]}"

    def port_of(self, service: str) -> int:
        """Return where a service listens."""
        noted = json.loads((self.data / "run.json").read_text(encoding="utf-8"))["ports"]
        return int(noted["api"][service])

    def environments(self) -> dict[str, dict[str, str]]:
        """Return what each process is told."""
        ports: dict[str, Any] = json.loads((self.data / "run.json").read_text(encoding="utf-8"))["ports"]
        folder = DataFolder(self.data, ephemeral=True)
        return process_environments(folder, Ports(**ports), read_passwords(folder))

    def memory(self) -> dict[str, float]:
        """Return MiB by process: proportional set sizes, in which shared pages are shared out (proc_pid_smaps)."""
        whole = psutil.Process(self.pid)
        by_pid = {pid: name for name, pid in self.pids().items()}
        sizes: dict[str, float] = {}
        for one in (whole, *whole.children(recursive=True)):
            # One that has ended meanwhile, such as a worker of PostgreSQL, takes nothing.
            with suppress(psutil.NoSuchProcess):
                name = by_pid.get(one.pid) or by_pid.get(one.ppid(), "taskloom up")
                sizes[name] = sizes.get(name, 0.0) + one.memory_full_info().pss / 2**20
        return sizes


@contextmanager
def running_copy(settings: Mapping[str, str] = NO_LIMITS) -> Iterator[Copy]:
    """Run a copy that keeps nothing, with its limits out of the way, or other settings, and all else as it comes."""
    port = free_ports(1)[0]
    options = ["--ephemeral", "--json", "--no-seed", "--port", str(port)]
    command = [sys.executable, "-m", "taskloom_cli.main", "up", *options]
    environment = {**os.environ, **settings}
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"taskloom did not start (exit code {process.wait()})")
        summary = json.loads(line)
        data = Path(summary["data_dir"])
        try:
            yield Copy(summary["api"], data, process.pid, summary["ready_seconds"])
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)
            process.stdout.close()


async def make_users(api: str, count: int) -> list[User]:
    """Sign up `count` users, each with one task."""
    slots = asyncio.Semaphore(AT_ONCE)
    async with httpx2.AsyncClient(base_url=f"{api}/api/v1", timeout=30, trust_env=False) as client:

        async def make(number: int) -> User:
            async with slots:
                return await _make_user(client, f"bench-{number}@example.com")

        return list(await asyncio.gather(*(make(number) for number in range(count))))


async def _make_user(client: httpx2.AsyncClient, email: str) -> User:
    credentials: dict[str, Any] = {"email": email, "password": PASSWORD}
    await made(client, "/auth/register", {**credentials, "display_name": "Bench"})
    tokens = await made(client, "/auth/login", credentials)
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    task = await made(client, "/tasks", {"title": "Buy milk"}, headers)
    return User(tokens["user"]["id"], tokens["access_token"], task["id"])


async def made(
    client: httpx2.AsyncClient, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Any:
    """Make something that is needed before anything is measured, which may take several tries on a busy machine."""
    for _ in range(TRIES):
        answer = await client.post(path, json=body, headers=headers)
        if answer.status_code not in (429, 503, 504):
            break
        await asyncio.sleep(1)
    return answer.raise_for_status().json()["data"]
