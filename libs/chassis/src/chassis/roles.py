"""The command of a service: one process role a call, all settings from the environment."""

import argparse
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

from chassis.settings import SettingsError

Role = Callable[[Sequence[str]], int]

EXIT_BAD_SETTINGS = 2
EXIT_BY_SIGNAL = 128


def run_role(service: str, roles: Mapping[str, Role], argv: Sequence[str] | None = None) -> int:
    """Run the role that `argv` names with the remaining arguments; return the exit code.

    Settings that can't be used are printed, all of them, and end with code 2.
    """
    parser = argparse.ArgumentParser(prog=f"{service}-service", description=f"Runs one role of the {service} service.")
    parser.add_argument("role", choices=sorted(roles))
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(argv)
    # The kernel ignores a SIGTERM to the first process of a container unless there is a handler; while this
    # process is still starting, and for a role that only does one thing, this is the one.
    signal.signal(signal.SIGTERM, _end)
    try:
        return roles[chosen.role](chosen.arguments)
    except SettingsError as error:
        print(f"{service} can't start with these settings:\n{error}", file=sys.stderr)  # noqa: T201 - before logging
        return EXIT_BAD_SETTINGS


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(EXIT_BY_SIGNAL + number)
