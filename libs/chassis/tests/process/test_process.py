"""R63: a real process, told to end by a real signal."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest
from testkit.servers import free_port, wait_until

SAMPLE = Path(__file__).parent / "sample_process.py"


class Sample:
    """A running sample process; what it logs is in `log`."""

    def __init__(self, kind, folder, **settings):
        self.folder, self.log = folder, folder / "log"
        self.port, self.admin_port = free_port(), free_port()
        environment = {**os.environ, "PORT": str(self.port), "ADMIN_PORT": str(self.admin_port), **settings}
        with self.log.open("wb") as log:
            command = [sys.executable, str(SAMPLE), kind, str(folder)]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def status(self, path, port=None):
        """Return the status of an answer; None when nobody answers."""
        try:
            return httpx2.get(f"http://127.0.0.1:{port or self.admin_port}{path}", timeout=60).status_code
        except httpx2.TransportError:
            return None

    def wait_for(self, path, status):
        wait_until(lambda: self.status(path) == status, what=f"{path} {status}", seconds=20)

    def begin_slow_request(self):
        """Send a request, return a function that waits for its answer's status."""
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.status("/api/v1/slow", self.port)))
        thread.start()
        wait_until((self.folder / "reached").exists, what="the request", seconds=10)

        def answer():
            thread.join(10)
            return answers[0]

        return answer


@pytest.fixture
def start(tmp_path):
    started = []

    def start(kind="serve", **settings):
        started.append(Sample(kind, tmp_path, **settings))
        return started[-1]

    yield start
    for sample in started:
        sample.process.kill()
        sample.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_r63_unready_first_then_what_is_in_flight_finishes_and_the_exit_code_is_0(start, tmp_path, number):
    sample = start(ENVIRONMENT="production", DRAIN_SECONDS="1.5", SHUTDOWN_SECONDS="5")
    sample.wait_for("/readyz", 200)
    answer = sample.begin_slow_request()
    sample.process.send_signal(number)
    sample.wait_for("/readyz", 503)
    assert sample.status("/livez") == 200
    assert sample.status("/livez", sample.port) == 200
    wait_until(lambda: sample.status("/livez", sample.port) is None, what="the end of new connections", seconds=10)
    (tmp_path / "go-on").touch()
    assert answer() == 200
    assert sample.process.wait(10) == 0
    assert (tmp_path / "work-ended").exists()
    assert (tmp_path / "closed").exists()


def test_r64_a_process_is_not_ready_before_it_listens(start, tmp_path):
    sample = start("slow-start")
    wait_until((tmp_path / "starting").exists, what="the start", seconds=20)
    sample.wait_for("/livez", 200)
    assert sample.status("/readyz") == 503
    assert sample.status("/livez", sample.port) is None
    (tmp_path / "go-on").touch()
    sample.wait_for("/readyz", 200)
    assert sample.status("/livez", sample.port) == 200


def test_what_requests_make_and_drop_is_no_reason_to_look_at_everything(start):
    sample = start()
    sample.wait_for("/readyz", 200)

    answer = httpx2.get(f"http://127.0.0.1:{sample.port}/api/v1/much", timeout=60)

    assert answer.json() == {"full_collections": 0}


def test_r63_a_request_or_work_that_does_not_end_is_not_waited_for_longer_than_allowed(start, tmp_path):
    sample = start("for-ever", SHUTDOWN_SECONDS="1")
    sample.wait_for("/readyz", 200)
    answer = sample.begin_slow_request()
    began = time.monotonic()
    sample.process.terminate()
    assert sample.process.wait(120) == 0
    assert time.monotonic() - began < 1 + 2 + 2
    assert answer() in {None, 500}
    assert (tmp_path / "closed").exists()


@pytest.mark.parametrize(("kind", "reason"), [("fail", "a bug of ours"), ("end-early", "process.stopped")])
def test_work_that_fails_or_ends_ends_the_process_with_1(start, tmp_path, kind, reason):
    sample = start(kind)
    assert sample.process.wait(120) == 1
    assert reason in sample.log.read_text()
    assert (tmp_path / "closed").exists()


def test_r67_an_app_that_can_not_start_ends_the_process_and_is_told(start):
    sample = start("no-start")
    assert sample.process.wait(120) == 3
    assert "no start" in sample.log.read_text()


def test_a_port_that_is_taken_ends_the_process_and_is_told(start, tmp_path):
    first = start()
    first.wait_for("/readyz", 200)
    (tmp_path / "second").mkdir()
    second = Sample("serve", tmp_path / "second", PORT=str(first.port))
    assert second.process.wait(120) != 0
    assert f"('127.0.0.1', {first.port}): address already in use" in second.log.read_text()
    assert first.status("/readyz") == 200
