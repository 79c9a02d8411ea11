"""`taskloom service`: a command of one service, with the settings of the copy that runs."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from taskloom_cli.complaints import Complaint
from taskloom_cli.data import DataFolder
from taskloom_cli.environment import SERVICES, Ports, process_environments, read_passwords

RUN_FILE = "run.json"


def run_service_command(service: str, arguments: Sequence[str], *, data: Path) -> int:
    """Run `<service>-service <arguments>` beside the copy that keeps its data in `data`; return its exit code.

    Raises Complaint when there is no such service, or no copy runs there.
    """
    if service not in SERVICES:
        raise Complaint(f"There is no service {service}: there are {', '.join(SERVICES)}.")
    folder = DataFolder(data.resolve(), ephemeral=False)
    environment = process_environments(folder, _ports_of(folder), read_passwords(folder))[service]
    command = [sys.executable, "-m", f"{service}_service", *arguments]
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - a service of ours


def _ports_of(folder: DataFolder) -> Ports:
    try:
        return Ports(**json.loads((folder.root / RUN_FILE).read_text(encoding="utf-8"))["ports"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Complaint(
            f"Nothing runs in {folder.root}: start it there, or name its folder with --data (the panel shows it)."
        ) from None
