"""Running commands of a service as an operator does, in processes of their own."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from testkit.databases import patience_in_environment
from testkit.environments import required_settings

Command = Callable[..., Awaitable[tuple[int | None, str, str]]]
"""Runs a command; returns its exit code, what it said and what it complained of."""


def commands_of(package: str, settings_type: type[Any], **given: str) -> Command:
    """Return what runs the commands of a service, with what its settings need and these; there is no broker."""
    required = {**required_settings(settings_type), **patience_in_environment(), "BROKER_URL": "redis://127.0.0.1:1"}
    environment = {"PATH": os.environ["PATH"], **required, **given}

    async def command(*arguments: str) -> tuple[int | None, str, str]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", package, *arguments, env=environment, stdout=pipe, stderr=pipe
        )
        said, complaints = await process.communicate()
        return process.returncode, said.decode(), complaints.decode()

    return command
