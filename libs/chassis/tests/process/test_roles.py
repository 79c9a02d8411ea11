"""The command of a service, as the first process of a container runs it."""

import asyncio
import signal
import sys

SLOW_ROLE = """
import sys, time
from chassis.roles import run_role

def wait(arguments):
    print("begun", flush=True)
    time.sleep(60)
    return 0

sys.exit(run_role("sample", {"wait": wait}))
"""


async def test_r63_a_role_that_is_still_starting_ends_at_once_when_told_to():
    # Without a handler the code would be -15, and the first process of a container would not end at all.
    role = await asyncio.create_subprocess_exec(sys.executable, "-c", SLOW_ROLE, "wait", stdout=asyncio.subprocess.PIPE)
    assert await role.stdout.readline() == b"begun\n"
    role.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(role.wait(), 5) == 128 + signal.SIGTERM
