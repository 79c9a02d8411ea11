"""RabbitMQ for tests: a container where a Docker engine answers, else a private node of the installed program.

As root on Debian the program is installed when it is missing.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from testkit.servers import HOST, Server, free_port

IMAGE = "rabbitmq:4-management"
PORT = 5672
STARTED = "Server startup complete"
DOCKER_SOCKET = Path("/var/run/docker.sock")
PLACES = "/usr/sbin:/usr/lib/rabbitmq/bin"
# The wrapper in /usr/sbin insists on the system's node; the script itself runs ours, as anybody.
SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
APT = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")


def rabbitmq_container(at_end: Callable[[Callable[[], object]], object]) -> str | None:
    """Start a container and return its URL; None, with the reason on stderr, where that can't be done."""
    if not os.environ.get("DOCKER_HOST") and not DOCKER_SOCKET.exists():
        return None
    import docker  # noqa: PLC0415 - slow to import, rarely needed
    import requests  # noqa: PLC0415 - same

    try:
        docker.from_env(timeout=2).ping()
        return _started_container(at_end)
    except (docker.errors.DockerException, requests.RequestException, OSError, RuntimeError) as error:
        _say(f"no RabbitMQ from a Docker engine ({type(error).__name__}: {str(error)[:300]})")
        return None


def _started_container(at_end: Callable[[Callable[[], object]], object]) -> str:
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - slow to import, rarely needed
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy  # noqa: PLC0415 - same

    container = DockerContainer(IMAGE).with_exposed_ports(PORT).waiting_for(LogMessageWaitStrategy(STARTED))
    at_end(container.stop)
    container.start()
    return f"amqp://guest:guest@{container.get_container_host_ip()}:{container.get_exposed_port(PORT)}/"


def rabbitmq(folder: Path) -> Server | None:
    """Return a private node that is not started yet, or None where there is no `rabbitmq-server`."""
    program = _program() or _install()
    if program is None:
        return None
    port, distribution = free_port(), free_port()
    environment = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": HOST,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
        "ERL_EPMD_ADDRESS": HOST,
    }
    command = [str(SCRIPT if SCRIPT.exists() else program)]
    url = f"amqp://guest:guest@{HOST}:{port}/"
    return Server(command, url, port, folder / "rabbitmq.log", environment=environment)


def _program() -> str | None:
    return shutil.which("rabbitmq-server", path=f"{os.environ.get('PATH', '')}:{PLACES}")


def _install() -> str | None:
    """Install the package, one process at a time: whoever waited finds it installed."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    with FileLock(Path(tempfile.gettempdir()) / "taskloom-install-rabbitmq.lock"):
        if _program() is None:
            _apt_install()
        return _program()


def _apt_install() -> None:
    _say("installing rabbitmq-server for the tests")
    policy = Path("/usr/sbin/policy-rc.d")
    forbids_start = not policy.exists()
    if forbids_start:
        # Only the program is wanted: without this Debian starts a node of its own.
        policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        policy.chmod(0o755)
    try:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", "rabbitmq-server"]):
            done = subprocess.run([*APT, *command], check=False, capture_output=True, text=True, env=environment)
            if done.returncode:
                _say(f"apt-get {command[0]} failed: {done.stderr.strip()[-500:]}")
    finally:
        if forbids_start:
            policy.unlink()


def _say(sentence: str) -> None:
    print(f"testkit: {sentence}", file=sys.stderr)  # noqa: T201 - it takes a while, or is missing: say why
