"""`taskloom up`: the whole system on one machine."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from taskloom_cli.api_client import is_ready
from taskloom_cli.children import PythonChild, begin_preloading
from taskloom_cli.commands import RUN_FILE
from taskloom_cli.complaints import Complaint
from taskloom_cli.data import DataFolder, explain, hold, open_folder
from taskloom_cli.environment import (
    APIS,
    PROCESSES,
    SERVICES,
    Passwords,
    Ports,
    forget_database_client,
    is_given,
    process_environments,
    read_passwords,
)
from taskloom_cli.panel import Summary, curl_line, show
from taskloom_cli.ports import HOST, free_ports, require_free
from taskloom_cli.postgres import Postgres
from taskloom_cli.seed import SeededUser, seed
from taskloom_cli.supervisor import Server, Supervisor, run_to_end
from taskloom_cli.valkey import Valkey

READY_SECONDS = 180.0
INTERRUPTED = 130
MODULES = {
    **{service: f"{service}_service.cli" for service in SERVICES},
    "gateway": "gateway.cli",
    "mail": "taskloom_cli.mail",
}


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    ephemeral: bool
    reset: bool
    port: int
    seed: bool
    as_json: bool
    local_ports: tuple[int, ...] = ()


def up(options: Options) -> int:
    """Start everything, show where it is, and look after it until told to stop; return the exit code."""
    started = time.monotonic()
    supervisor = Supervisor(say=_say)
    forget_database_client()
    try:
        supervisor.listen_to_signals()
        require_free(options.port)
        folder = open_folder(Path.cwd(), ephemeral=options.ephemeral, reset=options.reset)
        with hold(folder.root) as lock, _removed_at_end(folder):
            try:
                _start(supervisor, folder, lock, options, started)
                supervisor.watch()
            finally:
                supervisor.stop()
    except Complaint as complaint:
        _say(str(complaint))
        return 2
    except OSError as error:
        _say(explain(error, Path.cwd()))
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _start(supervisor: Supervisor, folder: DataFolder, lock: int, options: Options, started: float) -> None:
    begin_preloading()
    passwords = read_passwords(folder)
    ports = choose_ports(options.port)
    environments = process_environments(folder, ports, passwords, local_ports=options.local_ports)
    wait_for_servers = _start_servers(supervisor, folder, lock, ports, passwords)
    _check_settings(folder, environments)
    wait_for_servers()
    run_to_end([_child(folder, f"{service}-migrate", service, "migrate", environments) for service in SERVICES])
    for process in PROCESSES:
        service = process.removesuffix("-background")
        supervisor.start(_child(folder, process, service, _role(process), environments))
    _wait_until_ready(supervisor, ports)
    users: list[SeededUser] = []
    workspace_id = None
    if options.seed and _may_be_seeded(supervisor, environments["auth"]):
        users, workspace_id = seed(folder, ports, environments=environments, say=supervisor.say)
    summary = _summary(folder, ports, users, workspace_id, time.monotonic() - started)
    supervisor.on_restart = lambda: _write_run_file(folder, supervisor, summary, ports)
    supervisor.on_restart()
    # Whoever reads that it is ready may end it at once, and that is no broken start.
    supervisor.starting = False
    show(summary, as_json=options.as_json)


def _may_be_seeded(supervisor: Supervisor, auth: Mapping[str, str]) -> bool:
    """Tell whether the example's people could log in: their addresses are confirmed only once they have."""
    if auth.get("AUTH_EMAIL_VERIFICATION") != "required":
        return True
    supervisor.say("The example data needs AUTH_EMAIL_VERIFICATION=optional: none is made.")
    return False


def choose_ports(gateway: int) -> Ports:
    """Return where everything listens; all but the gateway's port is chosen."""
    free = iter(free_ports(4 + len(SERVICES) + len(PROCESSES), besides=gateway))
    return Ports(
        gateway=gateway,
        postgres=next(free),
        valkey=next(free),
        smtp=next(free),
        mail=next(free),
        api={service: next(free) for service in SERVICES},
        admin={process: next(free) for process in PROCESSES},
    )


def _start_servers(
    supervisor: Supervisor, folder: DataFolder, lock: int, ports: Ports, passwords: Passwords
) -> Callable[[], None]:
    """Start Valkey and PostgreSQL, and return how to wait for them; what the environment names is not started."""
    waits: list[Callable[[], None]] = []
    if not (is_given("REDIS_URL") and is_given("BROKER_URL")):
        waits.append(_start_valkey(supervisor, Valkey(folder, ports.valkey, passwords.valkey, lock)))
    if not is_given("DATABASE_URL"):
        postgres = Postgres(folder, ports.postgres, passwords.superuser, lock)
        waits.append(_start_postgres(supervisor, postgres, passwords))

    def wait() -> None:
        for one in waits:
            one()

    return wait


def _start_valkey(supervisor: Supervisor, valkey: Valkey) -> Callable[[], None]:
    process = valkey.start()
    # Without it the rest goes on, only worse, so it is started again; its data is on disk.
    server = Server("Valkey", process, signal.SIGTERM, valkey.folder.logs / "valkey.log", start=valkey.start)
    supervisor.servers.append(server)
    return lambda: valkey.wait(process)


def _start_postgres(supervisor: Supervisor, postgres: Postgres, passwords: Passwords) -> Callable[[], None]:
    if opened := postgres.prepare():
        names = ", ".join(str(path) for path in opened)
        supervisor.say(f"Opened for the user that PostgreSQL runs as, to walk through (chmod o+x): {names}")
    process = postgres.start()
    log = postgres.folder.logs / "postgres.log"
    supervisor.servers.append(Server("PostgreSQL", process, signal.SIGINT, log))

    def wait() -> None:
        postgres.wait(process)
        postgres.make_roles(dict(passwords.roles))

    return wait


def _check_settings(folder: DataFolder, environments: dict[str, dict[str, str]]) -> None:
    """Raise Complaint with all that is wrong in the settings of any process."""
    log = folder.logs / "settings.log"
    log.unlink(missing_ok=True)
    arguments = (json.dumps(environments),)
    run_to_end([PythonChild("Reading the settings", "taskloom_cli.settings_check", arguments, {}, log)])


def _child(
    folder: DataFolder, name: str, service: str, role: str, environments: dict[str, dict[str, str]]
) -> PythonChild:
    environment = environments.get(name, environments[service])
    log = folder.logs / f"{name}.log"
    if role == "migrate":
        log.unlink(missing_ok=True)
    return PythonChild(name, MODULES[service], (role,), environment, log)


def _role(process: str) -> str:
    return "background" if process.endswith("-background") else "api"


def _wait_until_ready(supervisor: Supervisor, ports: Ports) -> None:
    """Return when every process is ready and every API answers. Raises Complaint.

    The gateway is asked for its health alone, which uses up nothing of what its limits leave to the first caller.
    """
    deadline = time.monotonic() + READY_SECONDS
    apis = {**ports.api, "gateway": ports.gateway}
    waiting = {**ports.admin, **{f"the API of {name}": port for name, port in apis.items()}}
    while waiting:
        if time.monotonic() > deadline:
            raise Complaint(f"Not ready within {READY_SECONDS:.0f} s: {', '.join(waiting)}; see the logs.")
        supervisor.look()
        waiting = {name: port for name, port in waiting.items() if not is_ready(port)}
        time.sleep(0.03)


def _summary(
    folder: DataFolder, ports: Ports, users: list[SeededUser], workspace_id: str | None, seconds: float
) -> Summary:
    api = f"http://{HOST}:{ports.gateway}"
    metrics = {process: f"http://{HOST}:{ports.admin[process]}/metrics" for process in (*APIS, *PROCESSES)}
    return Summary(
        api=api,
        docs=f"{api}/docs",
        mail=f"http://{HOST}:{ports.mail}",
        metrics=metrics,
        users=users,
        workspace_id=workspace_id,
        curl=curl_line(api, users),
        pid=os.getpid(),
        data_dir=str(folder.root),
        ready_seconds=round(seconds, 2),
    )


def _write_run_file(folder: DataFolder, supervisor: Supervisor, summary: Summary, ports: Ports) -> None:
    """Leave a note of what runs, without tokens."""
    pids = {one.child.name: one.process.pid for one in supervisor.children}
    pids |= {server.name: server.process.pid for server in supervisor.servers}
    shown = {**asdict(summary), "users": [user.email for user in summary.users], "curl": None}
    written = folder.root / f"{RUN_FILE}.new"
    written.write_text(json.dumps({**shown, "pids": pids, "ports": asdict(ports)}, indent=2), encoding="utf-8")
    written.replace(folder.root / RUN_FILE)


@contextmanager
def _removed_at_end(folder: DataFolder) -> Iterator[None]:
    try:
        yield
    finally:
        if folder.ephemeral:
            folder.remove()
        else:
            (folder.root / RUN_FILE).unlink(missing_ok=True)
