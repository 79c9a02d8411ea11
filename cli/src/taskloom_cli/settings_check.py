"""Reads the settings of every process as it will read them itself, before any of them is started."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import attachments_service.settings
import auth_service.settings
import gateway.settings
import notifications_service.settings
import tasks_service.settings
from chassis.settings import SettingsError

import taskloom_cli.mail

LOADERS: dict[str, Callable[[], object]] = {
    "auth": auth_service.settings.load,
    "tasks": tasks_service.settings.load,
    "notifications": notifications_service.settings.load_api,
    "notifications-background": notifications_service.settings.load,
    "attachments": attachments_service.settings.load,
    "gateway": gateway.settings.load,
    "mail": taskloom_cli.mail.load,
}


def main(arguments: Sequence[str]) -> int:
    """Check the environments that the one argument has as JSON, by process; say all that is wrong in one line."""
    problems = dict.fromkeys(_problems(json.loads(arguments[0])))
    print(" ".join(problems))
    return 2 if problems else 0


def _problems(environments: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for process, load in LOADERS.items():
        os.environ.clear()
        os.environ.update(environments[process])
        try:
            load()
        except SettingsError as error:
            yield from str(error).splitlines()
