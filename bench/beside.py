"""What is measured beside ours: the bare floor, the naive build, and plain proxies before our own tasks service."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.tokens import IdentitySigner
from chassis.web.identity import HEADER
from measure import listens
from people import Person
from scenarios import Sender, by_name
from stack import Copy
from taskloom_cli.ports import HOST, free_ports
from testkit.servers import wait_until

HERE = Path(__file__).parent
FLOOR, TELLING, NAIVE, CADDY, ENVOY = "floor", "floor, telling", "naive", "Caddy", "Envoy"
PROGRAMS = {CADDY: "caddyserver", ENVOY: "envoy"}
PAIRS = {FLOOR: "floor.py", TELLING: "telling_floor.py", NAIVE: "naive.py"}


@dataclass(frozen=True)
class Served:
    """Where something serves the same, by which processes, and how it is told who asks."""

    url: str
    pids: Mapping[str, int]
    sender: Callable[[], Sender] = field(default=lambda: by_name)


@contextmanager
def running_beside(copy: Copy, names: Sequence[str]) -> Iterator[dict[str, Served]]:
    """Run what is named; a proxy that is not installed is left out."""
    with ExitStack() as stack:
        found: dict[str, Served] = {}
        for name in names:
            if name in PAIRS:
                found[name] = _pair(stack, copy, name)
            elif shutil.which(PROGRAMS[name], path=_path()) is None:
                print(f"{name} is not installed: uv sync --all-packages --group bench", file=sys.stderr)
            else:
                found[name] = _proxy(stack, copy, name)
        yield found


def _pair(stack: ExitStack, copy: Copy, name: str) -> Served:
    script, (front, back) = PAIRS[name], free_ports(2)
    python = [sys.executable, str(HERE / script)]
    service = _start(stack, [*python, "service", str(back), copy.database_url()])
    gateway = _start(stack, [*python, "proxy", str(front), f"http://{HOST}:{back}"])
    wait_until(lambda: listens(front) and listens(back), what=script)
    others = copy.pids() if name == TELLING else {"PostgreSQL": copy.pids()["PostgreSQL"]}
    return Served(f"http://{HOST}:{front}", {**others, "gateway": gateway, "tasks": service})


def _proxy(stack: ExitStack, copy: Copy, name: str) -> Served:
    """Start a proxy that passes everything on to the tasks service, to which the load itself says who asks."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    port, upstream = free_ports(1)[0], copy.port_of("tasks")
    command = _caddy(folder, port, upstream) if name == CADDY else _envoy(folder, port, upstream)
    # One thread runs its code, as one process of ours has.
    environment = {**os.environ, "PATH": _path(), "HOME": str(folder), "GOMAXPROCS": "1"}
    pid = _start(stack, command, env=environment)
    wait_until(lambda: listens(port), what=name)
    served_by = {name: copy.pids()[name] for name in ("tasks", "PostgreSQL")}
    return Served(f"http://{HOST}:{port}", {"gateway": pid, **served_by}, lambda: by_identity(copy))


def _caddy(folder: Path, port: int, upstream: int) -> list[str]:
    config = folder / "Caddyfile"
    config.write_text(CADDYFILE.format(address=f"http://{HOST}:{port}", upstream=f"{HOST}:{upstream}"))
    return [PROGRAMS[CADDY], "run", "--config", str(config), "--adapter", "caddyfile"]


def _envoy(folder: Path, port: int, upstream: int) -> list[str]:
    config = folder / "envoy.json"
    config.write_text(json.dumps(_envoy_config(port, upstream)))
    return [PROGRAMS[ENVOY], "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]


CADDYFILE = """{{
    admin off
    auto_https off
    persist_config off
    log {{
        level ERROR
    }}
}}
{address} {{
    reverse_proxy {upstream} {{
        transport http {{
            keepalive_idle_conns_per_host 256
        }}
    }}
}}
"""


def _envoy_config(port: int, upstream: int) -> dict[str, Any]:
    manager = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "tasks"}}]
    http = {
        "@type": manager,
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": router}}],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": http}]
    endpoint = {"endpoint": {"address": _address(upstream)}}
    cluster = {"cluster_name": "tasks", "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {
        "static_resources": {
            "listeners": [{"address": _address(port), "filter_chains": [{"filters": filters}]}],
            "clusters": [{"name": "tasks", "type": "STATIC", "load_assignment": cluster}],
        }
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": HOST, "port_value": port}}


def by_identity(copy: Copy) -> Sender:
    """Return how requests tell the tasks service who sends them: as the gateway would, with its key, for a minute."""
    signer = IdentitySigner(copy.environments()["gateway"]["IDENTITY_SIGNING_KEY"])
    now = utcnow()

    @cache
    def sender(person: Person) -> str:
        principal = Principal(person.id, uuid7(), roles=frozenset({"user"}))
        return f"{HEADER}\t{signer.sign(principal, now=now)}"

    return sender


def _path() -> str:
    """Return where programs are looked for: beside this Python first."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def _start(stack: ExitStack, command: Sequence[str], env: Mapping[str, str] | None = None) -> int:
    program = shutil.which(command[0], path=_path()) or command[0]
    process = subprocess.Popen([program, *command[1:]], env=env)
    stack.callback(process.wait, 10)
    stack.callback(process.terminate)
    return process.pid
