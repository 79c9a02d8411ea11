"""What a request costs beside the bare floor (bench/floor.py): a ratio of CPU times, which holds on any machine.

Two things that take turns in the same minute see the same machine; how fast that is, says nothing here. What is counted
is the time of the two processes that serve: gateway and tasks, and the floor's proxy and service. What a request
costs the database is counted apart, by its statements (services/tasks/tests/api/test_request_cost.py).
"""

import asyncio
import json
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import psutil
import pytest
from taskloom_cli.data import DataFolder
from taskloom_cli.environment import read_passwords
from taskloom_cli.ports import HOST, free_ports
from testkit.servers import wait_until

FLOOR = Path(__file__).parents[2] / "bench" / "floor.py"
LIMITS = ("GATEWAY_RATE_LIMIT_PER_MINUTE", "GATEWAY_ANONYMOUS_LIMIT_PER_MINUTE", "GATEWAY_LOGIN_LIMIT_PER_MINUTE")
LIST = "?status=todo&per_page=20"
TURNS, AT_A_TURN, AT_ONCE = 8, 120, 8

MOST = {"read": 1.7, "list": 2.0, "create": 2.8}
"""How many times the floor's CPU a request may cost; they may only sink.

On two cores, alone and beside two processes that took all they could, a read cost 1.2 to 1.3 times as much, a list that
is read anew 1.3 to 1.6 and a create 2.0 to 2.4.
"""


class Door:
    """One way to the same tasks, and the processes behind it."""

    def __init__(self, client, path, headers, pids):
        self.client = client
        self.path = path
        self.headers = headers
        self.processes = [psutil.Process(pid) for pid in pids]
        self.spent = 0.0

    async def take_turn(self, request):
        """Make requests, some at once, and add what they cost: one by one, each would pay for processes that sleep."""
        before = self._seconds()
        await asyncio.gather(*(self._make_in_turn(AT_A_TURN // AT_ONCE, request) for _ in range(AT_ONCE)))
        self.spent += self._seconds() - before

    async def _make_in_turn(self, times, request):
        for _ in range(times):
            (await self._make(*request)).raise_for_status()

    async def _make(self, method, target, body):
        return await self.client.request(method, f"{self.path}{target}", json=body, headers=self.headers)

    def _seconds(self):
        times = [one.cpu_times() for one in self.processes]
        return sum(one.user + one.system for one in times)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


@contextmanager
def running_floor(database_url):
    """Run the floor; yield its URL and its processes."""
    front, back = free_ports(2)
    with ExitStack() as stack:
        pids = []
        for arguments in (("service", str(back), database_url), ("proxy", str(front), f"http://{HOST}:{back}")):
            process = stack.enter_context(subprocess.Popen([sys.executable, str(FLOOR), *arguments]))
            stack.callback(process.terminate)
            pids.append(process.pid)
        wait_until(lambda: listens(front) and listens(back), what="the floor")
        yield f"http://{HOST}:{front}", pids


def database_url(folder, pid):
    """Return the URL of the tasks service's database in a copy."""
    command = psutil.Process(pid).cmdline()
    password = read_passwords(DataFolder(folder, ephemeral=True)).roles["tasks"]
    return f"postgresql://tasks:{password}@{HOST}:{command[command.index('-p') + 1]}/taskloom"


@pytest.fixture(scope="module")
async def doors(start_copy, tmp_path_factory):
    """Ours, which reads each page anew, and the floor's."""
    limits = {**dict.fromkeys(LIMITS, "1000000"), "TASKS_KEPT_PAGES_MIB": "0"}
    with start_copy(tmp_path_factory.mktemp("cost"), **limits) as summary, ExitStack() as stack:
        folder = Path(summary["data_dir"])
        pids = json.loads((folder / "run.json").read_text(encoding="utf-8"))["pids"]
        floor, floor_pids = stack.enter_context(running_floor(database_url(folder, pids["PostgreSQL"])))
        async with httpx2.AsyncClient(base_url=summary["api"], timeout=60, trust_env=False) as client:
            person = {"email": "cost@example.com", "password": "violet-harbor-77"}
            registered = await client.post("/api/v1/auth/register", json={**person, "display_name": "Cost"})
            registered.raise_for_status()
            told = (await client.post("/api/v1/auth/login", json=person)).raise_for_status().json()["data"]
            async with httpx2.AsyncClient(base_url=floor, timeout=60, trust_env=False) as bare:
                headers = {"authorization": f"Bearer {told['access_token']}"}
                ours = Door(client, "/api/v1/tasks", headers, [pids["gateway"], pids["tasks"]])
                yield ours, Door(bare, "/tasks", {"x-user": told["user"]["id"]}, floor_pids)


@pytest.fixture(scope="module")
async def task_id(doors):
    """A task among enough others for a page."""
    ours, _ = doors
    for number in range(25):
        made = await ours.client.post(ours.path, json={"title": f"Buy milk {number}"}, headers=ours.headers)
    return made.raise_for_status().json()["data"]["id"]


@pytest.mark.parametrize("name", MOST)
async def test_what_a_request_costs_beside_the_bare_floor(doors, task_id, name):
    request = {
        "read": ("GET", f"/{task_id}", None),
        "list": ("GET", LIST, None),
        "create": ("POST", "", {"title": "Buy milk"}),
    }[name]
    for door in doors:
        await door.take_turn(request)
        door.spent = 0.0
    for _ in range(TURNS):
        for door in doors:
            await door.take_turn(request)
    ours, floor = doors
    assert ours.spent / floor.spent <= MOST[name], f"{ours.spent:.2f} s beside {floor.spent:.2f} s"
