"""The first process of a container."""

import asyncio
import os
import signal
import sys
from pathlib import Path

SLOW_TO_IMPORT = """
import time

print("importing", flush=True)
time.sleep(60)
"""

PRINTING = """
def main(arguments):
    print(arguments)
    return 7
"""


async def start(folder: Path, source: str, *arguments: str) -> asyncio.subprocess.Process:
    (folder / "sample_cli.py").write_text(source)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chassis.entry", "sample_cli", *arguments),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )


async def test_r63_a_process_that_is_still_importing_ends_at_once_when_told_to(tmp_path: Path):
    # Without a handler the code would be -15, and the first process of a container would not end at all.
    process = await start(tmp_path, SLOW_TO_IMPORT)
    assert await process.stdout.readline() == b"importing\n"
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 5) == 128 + signal.SIGTERM


async def test_entry_hands_on_arguments_and_exit_code(tmp_path: Path):
    process = await start(tmp_path, PRINTING, "worker", "--now")
    assert await process.stdout.read() == b"['worker', '--now']\n"
    assert await process.wait() == 7
