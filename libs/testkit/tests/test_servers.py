"""Where the servers of the tests come from, in which order, and what is done where one can't be had."""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from testkit.rabbitmq import rabbitmq_container
from testkit.servers import free_port

APT = """#!/bin/sh
mkdir busy || echo overlapping >>log
echo "$*" >>log
sleep 0.2
case "$*" in *install*) printf '#!/bin/sh\n' >places/some-server; chmod +x places/some-server;; esac
rmdir busy
"""
INSTALL = """
import os
from pathlib import Path
from testkit.debian import DebianProgram
program = DebianProgram("some-server", "places", policy=Path("policy-rc.d"), lock=Path("lock"))
os.geteuid = lambda: {user}
print(program.find_or_install())
"""
OF_A_SERVER = """
def test_it({fixture}):
    assert {fixture} == "{url}"
"""


@pytest.fixture
def start_install(tmp_path):
    """Starts processes that want the same program; apt-get is a script that notes how it was called."""
    (tmp_path / "places").mkdir()
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(APT)
    apt.chmod(0o755)
    environment = {**os.environ, "PATH": f"{apt.parent}:{os.environ['PATH']}"}

    def start(user):
        command = [sys.executable, "-c", INSTALL.format(user=user)]
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start


def test_processes_that_miss_a_program_at_once_install_it_once_and_all_find_it(start_install, tmp_path):
    answers = [process.communicate(timeout=30) for process in [start_install(user=0) for _ in range(3)]]
    assert [out for out, _ in answers] == ["places/some-server\n"] * 3
    assert sum("installing some-server" in error for _, error in answers) == 1
    assert (tmp_path / "log").read_text().splitlines() == [
        "-qq -o DPkg::Lock::Timeout=300 update",
        "-qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends some-server",
    ]
    assert not (tmp_path / "policy-rc.d").exists()


def test_who_is_not_root_installs_nothing(start_install, tmp_path):
    assert start_install(user=1000).communicate(timeout=30) == ("None\n", "")
    assert not (tmp_path / "log").exists()


class EngineWithoutImages(BaseHTTPRequestHandler):
    """A Docker engine that answers, and can get no image."""

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        known = self.path.endswith(("/_ping", "/version"))
        self.answer(200 if known else 404, b'{"ApiVersion": "1.45", "message": "no such thing"}')

    def do_POST(self):
        self.answer(404, b'{"message": "no such image"}')

    def log_message(self, format, *arguments):  # noqa: A002 - the name is http.server's
        pass


@pytest.fixture
def engine_url():
    with ThreadingHTTPServer(("127.0.0.1", 0), EngineWithoutImages) as server:
        Thread(target=server.serve_forever).start()
        yield f"tcp://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_engine_that_cannot_get_the_image_is_passed_over_and_says_so(engine_url, monkeypatch, capsys, request):
    monkeypatch.setenv("DOCKER_HOST", engine_url)
    assert rabbitmq_container(request.addfinalizer) is None
    assert "no RabbitMQ from a Docker engine (NotFound" in capsys.readouterr().err


def test_an_engine_that_does_not_answer_is_passed_over(monkeypatch, capsys, request):
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{free_port()}")
    assert rabbitmq_container(request.addfinalizer) is None
    assert "no RabbitMQ from a Docker engine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fixture", "variable", "url"),
    [
        ("valkey_url", "TEST_REDIS_URL", "redis://127.0.0.1:1"),
        ("postgres_url", "TEST_DATABASE_URL", "postgresql://127.0.0.1:1"),
        ("rabbitmq_url", "RABBITMQ_URL", "amqp://127.0.0.1:1/"),
    ],
)
def test_a_given_server_is_taken_and_none_is_started(tmp_path, fixture, variable, url):
    (tmp_path / "test_it.py").write_text(OF_A_SERVER.format(fixture=fixture, url=url))
    command = [sys.executable, "-m", "pytest", "-p", "testkit.plugin", f"--basetemp={tmp_path / 'kept'}", "test_it.py"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", variable: url}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout
    assert not (tmp_path / "kept").exists()
