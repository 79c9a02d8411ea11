"""However `taskloom up` ends, and whenever, no process is left of it."""

import os
import re
import signal
import time

import httpx2
import psutil
import pytest
from testkit.servers import wait_until

# Files that the first start makes, in this order: before anything runs, initdb's, the fork server's, the services'.
MOMENTS = ("lock", "postgres.new", "logs/settings.log", "logs/gateway.log")
LINE = re.compile(r"^(\S+) crashed \(.+\) and is being restarted", re.MULTILINE)


@pytest.mark.parametrize(("way", "code"), [("kill", -signal.SIGKILL), ("end", 130)])
def test_an_end_at_any_moment_of_the_start_leaves_nothing(begin, nothing_left, place, way, code):
    for moment in MOMENTS:
        copy = begin("--no-seed", folder=place / moment.replace("/", "-"))
        wait_until((copy.folder / ".taskloom" / "data" / moment).exists, what=moment, seconds=120)
        assert (getattr(copy, way)(), copy.errors()) == (code, ""), moment
        nothing_left()


def test_the_fork_server_killed_all_is_started_again_and_a_second_signal_hurries(start, status):
    def answers(copy):
        try:
            return status(f"{copy.api}/status") == 200
        except httpx2.TransportError:
            return False

    copy = start("--no-seed", "--ephemeral")
    os.kill(psutil.Process(copy.pid_of("tasks")).ppid(), signal.SIGKILL)
    crashed = sorted(copy.summary["metrics"])
    wait_until(lambda: sorted(set(LINE.findall(copy.errors()))) == crashed, what="a line for each", seconds=120)
    wait_until(lambda: answers(copy), what="the gateway answering", seconds=120)

    for name in ("attachments-background", "PostgreSQL"):
        psutil.Process(copy.pid_of(name)).suspend()
    os.killpg(copy.process.pid, signal.SIGINT)
    wait_until(lambda: not answers(copy), what="the end of the gateway", seconds=120)
    before = time.monotonic()
    assert copy.end() == 0
    # Without the second signal both would have been waited for, 17 seconds in all.
    assert time.monotonic() - before < 10
