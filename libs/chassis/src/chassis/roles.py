"""The command of a service: one process role a call, all settings from the environment."""

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

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


def api_roles(module: str) -> dict[str, Role]:
    """Return the roles `api`, which serves, and `openapi`, which prints the OpenAPI document as JSON.

    `module` is the name of one that has `run_api`, a role, and `openapi_document`, which returns the document. It is
    imported when one of the two is run: to make all routes takes as long as all that the other roles need.
    """

    def run_api(arguments: Sequence[str]) -> int:
        code: int = importlib.import_module(module).run_api(arguments)
        return code

    def print_openapi(_arguments: Sequence[str]) -> int:
        return print_document(importlib.import_module(module).openapi_document())

    return {"api": run_api, "openapi": print_openapi}


def print_document(document: Mapping[str, Any]) -> int:
    """Print a document as JSON with sorted keys; return the exit code, which is 0."""
    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
    return 0
