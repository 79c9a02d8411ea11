"""A copy with two gateways and two processes that serve sockets, and people in workspaces of their own."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx2
from chassis.ids import uuid7
from measure import listens
from stack import Copy, User, made, make_users, running_copy
from taskloom_cli.data import DataFolder
from taskloom_cli.environment import Ports, process_environments, read_passwords
from taskloom_cli.ports import HOST, free_ports
from taskloom_cli.postgres import SUPERUSER
from testkit.servers import wait_until

MANY = "20000"
"""As many files as a process may open."""
SETTINGS = {
    "GATEWAY_RATE_LIMIT_PER_MINUTE": "100000000",
    "GATEWAY_WORKERS": "2",
    "GATEWAY_MAX_CONNECTIONS": MANY,
    "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS": MANY,
}
"""All comes from one address; whatever else there is stays as it comes."""
GROUP = """
WITH people AS (SELECT * FROM unnest($2::uuid[], $3::uuid[]) AS one(id, user_id)), there AS (
    INSERT INTO tasks.member (id, workspace_id, user_id, role, joined_seq, version, created_at)
    SELECT id, $1, user_id, 'member', 1, 1, now() FROM people
)
INSERT INTO notifications.membership (workspace_id, user_id, role, joined_seq, changed_seq, removed)
SELECT $1, user_id, 'member', 1, 1, false FROM people
"""
"""Members without their events: how they come to be members is not what is measured."""


@dataclass(frozen=True)
class Group:
    """People who see the same workspace, and a project in it that the first of them writes to."""

    project: str
    members: Sequence[User]


@dataclass(frozen=True)
class Stack:
    """What is measured."""

    copy: Copy
    gateways: Sequence[str]
    pids: Mapping[str, int]


@contextmanager
def running_stack(logs: Path) -> Iterator[Stack]:
    """Run a copy, and a second gateway with a second process of notifications behind it."""
    os.environ.update(SETTINGS)
    with running_copy() as copy, ExitStack() as stack:
        noted = json.loads((copy.data / "run.json").read_text(encoding="utf-8"))
        folder = DataFolder(copy.data, ephemeral=True)
        environments = process_environments(folder, Ports(**noted["ports"]), read_passwords(folder))
        ports = free_ports(4)
        second = {"PORT": str(ports[0]), "ADMIN_PORT": str(ports[1])}
        service = _start(stack, "notifications_service", {**environments["notifications"], **second}, logs)
        changed = {"PORT": str(ports[2]), "ADMIN_PORT": str(ports[3])}
        changed["GATEWAY_NOTIFICATIONS_URL"] = f"http://{HOST}:{ports[0]}"
        gateway = _start(stack, "gateway", {**environments["gateway"], **changed}, logs)
        wait_until(lambda: listens(ports[0]) and listens(ports[2]), what="the second gateway")
        pids = {name: pid for name, pid in noted["pids"].items() if name in ("gateway", "notifications", *BESIDE)}
        pids |= {"gateway 2": gateway, "notifications 2": service}
        yield Stack(copy, (copy.api, f"http://{HOST}:{ports[2]}"), pids)


BESIDE = ("tasks", "tasks-background", "notifications-background", "PostgreSQL", "Valkey")


def _start(stack: ExitStack, module: str, environment: Mapping[str, str], logs: Path) -> int:
    log = stack.enter_context((logs / f"{module}.log").open("wb"))
    command = [sys.executable, "-m", module, "api"]
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    stack.callback(process.wait, 25)
    stack.callback(process.terminate)
    return process.pid


def make_groups(copy: Copy, *, users: int, size: int) -> list[Group]:
    """Sign people up, and let each `size` of them share a workspace."""
    people = asyncio.run(make_users(copy.api, users))
    return asyncio.run(_group(copy, [people[first : first + size] for first in range(0, users, size)]))


async def _group(copy: Copy, parts: Sequence[Sequence[User]]) -> list[Group]:
    password = read_passwords(DataFolder(copy.data, ephemeral=True)).superuser
    where = copy.database_url().rpartition("@")[2]
    connection = await asyncpg.connect(f"postgresql://{SUPERUSER}:{password}@{where}")
    try:
        async with httpx2.AsyncClient(base_url=f"{copy.api}/api/v1", timeout=30, trust_env=False) as client:
            return [await _make_group(client, connection, part) for part in parts]
    finally:
        await connection.close()


async def _make_group(
    client: httpx2.AsyncClient, connection: "asyncpg.Connection[asyncpg.Record]", members: Sequence[User]
) -> Group:
    headers = {"authorization": f"Bearer {members[0].token}"}
    workspace = (await made(client, "/workspaces", {"name": "Bench"}, headers))["id"]
    project = await made(client, "/projects", {"name": "Bench", "workspace_id": workspace}, headers)
    others = [one.id for one in members[1:]]
    await connection.execute(GROUP, workspace, [str(uuid7()) for _ in others], others)
    return Group(project["id"], members)
