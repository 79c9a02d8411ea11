"""The pytest plugin: real servers as fixtures, started once a worker and ended with it, and the guard of contracts."""

import gc
import json
import logging
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import structlog
from chassis.telemetry.logs import LOG, configure_logs

from testkit.identities import TestGateway
from testkit.operations import OperationGuard
from testkit.rabbitmq import rabbitmq, rabbitmq_container
from testkit.servers import Server, postgres, valkey


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(OperationGuard(config), "testkit-operations")
    _log_plainly()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage among what is imported to find the tests, then or later: all of it stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _log_plainly() -> None:
    """Log tracebacks as Python writes them.

    With the local variables, as structlog writes them where rich is installed, one takes seconds of a busy machine; and
    the services under test, which share the loop of their test, answer nobody meanwhile.
    """
    *before, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*before, plain])


@pytest.fixture(params=["directly", "by structlog"])
def lines_of_requests(
    request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Returns the lines that have been logged of requests, as a service logs them and as structlog makes them."""
    before, handlers, level = structlog.get_config(), logging.root.handlers, logging.root.level
    configure_logs(service="sample", level="INFO", form="json")
    structlog.configure(cache_logger_on_first_use=False)
    if request.param == "by structlog":
        structlog.configure(logger_factory=structlog.WriteLoggerFactory(LOG))
    caught: list[str] = []

    def lines_of_requests() -> list[dict[str, Any]]:
        caught.extend(capfd.readouterr().err.splitlines())
        return [json.loads(line) for line in caught if '"request.' in line]

    yield lines_of_requests
    structlog.configure(**before)
    logging.root.handlers = handlers
    logging.root.setLevel(level)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a PostgreSQL server without a database: TEST_DATABASE_URL, or a private one."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given.rstrip("/")
        return
    # Not in pytest's folder: every run that starts closes that to others, and as root the server runs as somebody else.
    with (
        TemporaryDirectory(prefix="taskloom-postgres-", ignore_cleanup_errors=True) as folder,
        postgres(Path(folder)) as url,
    ):
        yield url


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Valkey server without a database number: TEST_REDIS_URL, or one that all tests of this worker share."""
    given = os.environ.get("TEST_REDIS_URL")
    if given:
        yield given.rstrip("/")
        return
    server = valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Server]:
    """A durable Valkey server of one test, which may kill it and start it again."""
    server = valkey(tmp_path, durable=True)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def rabbitmq_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of RabbitMQ: RABBITMQ_URL, a container where a Docker engine answers, or a private node.

    Tests that need it are skipped, loudly, where none can be had.
    """
    url = os.environ.get("RABBITMQ_URL") or rabbitmq_container(request.addfinalizer)
    if url:
        return url
    server = rabbitmq(tmp_path_factory.mktemp("rabbitmq"))
    if server is None:
        pytest.skip("NO RABBITMQ: set RABBITMQ_URL, or install rabbitmq-server (as root on Debian it is installed)")
    request.addfinalizer(server.kill)  # noqa: PT021 - which way it came is known only here
    server.start()
    return server.url


@pytest.fixture(scope="session")
def test_gateway() -> TestGateway:
    """Signs identities that the services under test believe."""
    return TestGateway()
