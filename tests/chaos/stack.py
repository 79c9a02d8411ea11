"""A private copy of everything, each role a process of its own, in which whatever is killed is started again."""

import asyncio
import os
import tempfile
from collections import Counter
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
from taskloom_cli.api_client import is_ready
from taskloom_cli.children import PythonChild, begin_preloading, end_python, start_python
from taskloom_cli.data import DataFolder, hold, open_folder
from taskloom_cli.environment import SERVICES, process_environments, read_passwords
from taskloom_cli.ports import HOST, free_ports
from taskloom_cli.postgres import Postgres
from taskloom_cli.supervisor import run_to_end
from taskloom_cli.up import MODULES, choose_ports
from taskloom_cli.valkey import Valkey
from testkit.rabbitmq import rabbitmq

AGAIN_SECONDS = 0.3
LOOK_SECONDS = 0.05
READY_SECONDS = 120.0
SPLIT = ("tasks", "notifications")
"""Services each of whose background roles is a process of its own."""
BROKER = "broker"
SETTINGS = {
    "AUTH_ACCESS_TOKEN_TTL": "7200",
    "GATEWAY_RATE_LIMIT_PER_MINUTE": "10000000",
    "GATEWAY_ANONYMOUS_LIMIT_PER_MINUTE": "10000000",
    "GATEWAY_LOGIN_LIMIT_PER_MINUTE": "10000000",
    "NOTIFICATIONS_DRIVERS": "recording",
    # The receiver of webhooks is on this machine.
    "EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",
    "EGRESS_ALLOWED_PORTS": "1-65535",
    "EGRESS_ALLOW_HTTP": "true",
}


def names():
    """Every process, by name: its service and role."""
    found = {service: (service, "api") for service in (*SERVICES, "gateway", "mail")}
    for service in SERVICES:
        roles = ("worker", "relay", "scheduler") if service in SPLIT else ("background",)
        found |= {f"{service}-{role}": (service, role) for role in roles}
    return found


@dataclass
class Stack:
    """What runs. `kill` ends a process as a power cut would; `keep_up` starts again what has ended."""

    folder: DataFolder
    url: str
    mail_url: str
    database_url: str
    broker: Any
    children: dict[str, PythonChild]
    admin_ports: dict[str, int]
    processes: dict[str, BaseProcess] = field(default_factory=dict)
    crashes: list[str] = field(default_factory=list)
    killed: set[int] = field(default_factory=set)
    cpu: Counter = field(default_factory=Counter)

    def start(self, name):
        self.processes[name] = start_python(self.children[name])

    async def kill(self, name):
        """Kill a process, or the broker."""
        if name == BROKER:
            await asyncio.to_thread(self.broker.kill)
            await asyncio.to_thread(self.broker.start)
            return
        process = self.processes[name]
        self.count_cpu(name)
        self.killed.add(process.pid)
        process.kill()

    def count_cpu(self, *names):
        """Add what processes have used of the processor."""
        for name in names:
            with suppress(psutil.NoSuchProcess):
                used = psutil.Process(self.processes[name].pid).cpu_times()
                self.cpu[name] += used.user + used.system

    async def keep_up(self):
        """Start again whatever ends, and note what did so without being killed."""
        while True:
            for name, process in list(self.processes.items()):
                if not process.is_alive():
                    if process.pid not in self.killed:
                        self.crashes.append(f"{name}: exit code {process.exitcode}")
                    await asyncio.sleep(AGAIN_SECONDS)
                    self.start(name)
            await asyncio.sleep(LOOK_SECONDS)

    @asynccontextmanager
    async def running(self):
        """Run everything for as long as the block lasts."""
        for name in self.children:
            self.start(name)
        keeping = asyncio.create_task(self.keep_up())
        try:
            await self.until_ready()
            yield self
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping

    async def until_ready(self, seconds=READY_SECONDS):
        """Wait until every process says that it is ready. Raises TimeoutError with those that do not."""
        deadline = asyncio.get_running_loop().time() + seconds
        while waiting := await asyncio.to_thread(self._unready):
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"not ready: {', '.join(waiting)}; logs: {self.folder.logs}")
            await asyncio.sleep(0.1)

    def _unready(self):
        return [name for name, port in self.admin_ports.items() if not is_ready(port)]

    def end(self):
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.join()


@contextmanager
def prepared_stack():
    """Start what everything needs, outside any event loop; what runs is ended with it.

    Whatever a caller's environment says of databases and brokers is not for this.
    """
    os.environ.update(SETTINGS)
    begin_preloading()
    with tempfile.TemporaryDirectory(prefix="taskloom-chaos-", ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o711)
        folder = open_folder(Path(place), ephemeral=False, reset=False)
        broker = rabbitmq(Path(tempfile.mkdtemp(dir=place)))
        if broker is None:
            raise SystemExit("There is no rabbitmq-server.")
        with hold(folder.root) as lock, ExitStack() as ending:
            ending.callback(end_python)
            ending.callback(broker.kill)
            stack = prepared(folder, lock, broker, ending)
            ending.callback(stack.end)
            yield stack


def prepared(folder, lock, broker, ending):
    """Start the servers, and bring schemas and queues up to date."""
    os.environ["BROKER_URL"] = f"{broker.url}?heartbeat=10&reconnect_interval=1"
    passwords = read_passwords(folder)
    ports = choose_ports(free_ports(1)[0])
    processes = names()
    admin = dict(zip(processes, free_ports(len(processes), besides=ports.gateway), strict=True))
    environments = process_environments(folder, ports, passwords)
    broker.start()
    valkey = Valkey(folder, ports.valkey, passwords.valkey, lock)
    valkey.wait(started(valkey, ending))
    postgres = Postgres(folder, ports.postgres, passwords.superuser, lock)
    postgres.prepare()
    postgres.wait(started(postgres, ending))
    postgres.make_roles(dict(passwords.roles))

    def child(name, service, role, **changed):
        of = environments[service if role == "api" or service == "mail" else f"{service}-background"]
        return PythonChild(name, MODULES[service], (role,), {**of, **changed}, folder.logs / f"{name}.log")

    run_to_end([child(f"{service}-migrate", service, "migrate") for service in SERVICES])
    return Stack(
        folder=folder,
        url=f"http://{HOST}:{ports.gateway}",
        mail_url=f"http://{HOST}:{ports.mail}",
        database_url=f"postgresql://taskloom:{passwords.superuser}@{HOST}:{ports.postgres}/taskloom",
        broker=broker,
        children={
            name: child(name, service, role, ADMIN_PORT=str(admin[name])) for name, (service, role) in processes.items()
        },
        admin_ports=admin,
    )


def started(server, ending):
    """Start a server, which is killed at the end."""
    process = server.start()
    ending.callback(process.wait)
    ending.callback(process.kill)
    return process
