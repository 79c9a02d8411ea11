"""RabbitMQ for tests: a container where a Docker engine answers, else a private node of the installed program.

As root on Debian the program is installed when it is missing.
"""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from testkit.debian import DebianProgram, say
from testkit.servers import HOST, Server, free_port

IMAGE = "rabbitmq:4-management"
PORT = 5672
IS_RUNNING = ["rabbitmq-diagnostics", "--quiet", "check_port_connectivity"]
DOCKER_SOCKET = Path("/var/run/docker.sock")
PROGRAM = DebianProgram("rabbitmq-server", "/usr/sbin:/usr/lib/rabbitmq/bin")
# The wrapper in /usr/sbin insists on the system's node; the script itself runs ours, as anybody.
SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def rabbitmq_container(at_end: Callable[[Callable[[], object]], object]) -> str | None:
    """Start a container and return its URL; None, with the reason on stderr, where that can't be done."""
    if not os.environ.get("DOCKER_HOST") and not DOCKER_SOCKET.exists():
        return None
    import docker  # noqa: PLC0415 - slow to import, rarely needed
    import requests  # noqa: PLC0415 - same

    try:
        with closing(docker.from_env(timeout=2)) as engine:
            engine.ping()
        return _started_container(at_end)
    except (docker.errors.DockerException, requests.RequestException, OSError, RuntimeError) as error:
        say(f"no RabbitMQ from a Docker engine ({type(error).__name__}: {str(error)[:300]})")
        return None


def _started_container(at_end: Callable[[Callable[[], object]], object]) -> str:
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - slow to import, rarely needed
    from testcontainers.core.wait_strategies import ExecWaitStrategy  # noqa: PLC0415 - same

    container = DockerContainer(IMAGE).with_exposed_ports(PORT).waiting_for(ExecWaitStrategy(IS_RUNNING))
    at_end(container.stop)
    container.start()
    return f"amqp://guest:guest@{container.get_container_host_ip()}:{container.get_exposed_port(PORT)}/"


def rabbitmq(folder: Path) -> Server | None:
    """Return a private node that is not started yet, or None where there is no `rabbitmq-server`."""
    program = PROGRAM.find_or_install()
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
