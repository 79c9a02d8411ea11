"""The pytest plugin: real servers as fixtures, started once a worker and ended with it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.identities import TestGateway
from testkit.servers import Server, postgres, rabbitmq, valkey


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a PostgreSQL server without a database: TEST_DATABASE_URL, or a private one."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given.rstrip("/")
        return
    with postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Valkey server that all tests of this worker share."""
    server = valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey_url(valkey_server: Server) -> str:
    """URL of the shared Valkey server, without a database number."""
    return os.environ.get("TEST_REDIS_URL", valkey_server.url)


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Server]:
    """A durable Valkey server of one test, which may kill it and start it again."""
    server = valkey(tmp_path, durable=True)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A private RabbitMQ node; tests that need it are skipped, loudly, where none can be had."""
    server = rabbitmq(tmp_path_factory.mktemp("rabbitmq"))
    if server is None:
        pytest.skip("NO RABBITMQ: set RABBITMQ_URL, or install rabbitmq-server (as root on Debian it is installed)")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def rabbitmq_url(request: pytest.FixtureRequest) -> str:
    """URL of RabbitMQ: RABBITMQ_URL, a container where a Docker engine answers, or a private node."""
    given = os.environ.get("RABBITMQ_URL")
    if given:
        return given
    container = _rabbitmq_container(request)
    if container is not None:
        return container
    server: Server = request.getfixturevalue("rabbitmq_server")
    return server.url


@pytest.fixture(scope="session")
def test_gateway() -> TestGateway:
    """Signs identities that the services under test believe."""
    return TestGateway()


def _rabbitmq_container(request: pytest.FixtureRequest) -> str | None:
    if not _docker_answers():
        return None
    from testcontainers.rabbitmq import RabbitMqContainer  # noqa: PLC0415 - slow to import, rarely needed

    container = RabbitMqContainer("rabbitmq:4-management")
    container.start()
    request.addfinalizer(container.stop)
    parameters = container.get_connection_params()
    return f"amqp://guest:guest@{parameters.host}:{parameters.port}/"


def _docker_answers() -> bool:
    if not os.environ.get("DOCKER_HOST") and not Path("/var/run/docker.sock").exists():
        return False
    import docker  # noqa: PLC0415 - slow to import, rarely needed

    try:
        return bool(docker.from_env(timeout=2).ping())
    except (docker.errors.DockerException, OSError):
        return False
