"""The command of a service: one process role a call, all settings from the environment."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from chassis.settings import SettingsError

Role = Callable[[Sequence[str]], int]

EXIT_BAD_SETTINGS = 2


def run_role(
    service: str, roles: Mapping[str, Role], argv: Sequence[str] | None = None, *, command: str | None = None
) -> int:
    """Run the role that `argv` names with the remaining arguments; return the exit code.

    `command` is what the process is called by, where that is not `<service>-service`.

    Settings that can't be used are printed, all of them, and end with code 2.
    """
    parser = argparse.ArgumentParser(
        prog=command or f"{service}-service", description=f"Runs one role of the {service} service."
    )
    parser.add_argument("role", choices=sorted(roles))
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(argv)
    try:
        return roles[chosen.role](chosen.arguments)
    except SettingsError as error:
        print(f"{service} can't start with these settings:\n{error}", file=sys.stderr)  # noqa: T201 - before logging
        return EXIT_BAD_SETTINGS
