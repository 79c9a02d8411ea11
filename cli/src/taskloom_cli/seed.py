"""Filling a new copy, once, the way its users would: through the API."""

import json
from dataclasses import dataclass
from typing import Any

from taskloom_cli.api_client import CallFailed, call
from taskloom_cli.children import PythonChild
from taskloom_cli.data import DataFolder
from taskloom_cli.seed_data import PASSWORD, PEOPLE, PROJECTS, TASKS, WORKSPACE
from taskloom_cli.supervisor import run_to_end

SEEDED = "seeded.json"
CONFLICT = 409


@dataclass(frozen=True)
class SeededUser:
    """Somebody to log in as."""

    email: str
    password: str
    user_id: str
    access_token: str


def seed(folder: DataFolder, *, port: int, environment: dict[str, str]) -> tuple[list[SeededUser], str]:
    """Make people, workspace and tasks unless they are there; log everybody in. Return them and the workspace's id."""
    users = [_user(port, person.email, person.display_name) for person in PEOPLE]
    marker = folder.root / SEEDED
    if not marker.exists():
        made = _make_workspace(folder, users, environment)
        for who, project, task in TASKS:
            body = {**task, "project_id": made["projects"][project]}
            call(port, "POST", "/api/v1/tasks", body, token=users[who].access_token)
        marker.write_text(json.dumps(made), encoding="utf-8")
    return users, str(json.loads(marker.read_text(encoding="utf-8"))["workspace_id"])


def _user(port: int, email: str, display_name: str) -> SeededUser:
    registration = {"email": email, "password": PASSWORD, "display_name": display_name}
    try:
        call(port, "POST", "/api/v1/auth/register", registration)
    except CallFailed as error:
        if error.status != CONFLICT:
            raise
    tokens: dict[str, Any] = call(port, "POST", "/api/v1/auth/login", {"email": email, "password": PASSWORD})
    return SeededUser(email, PASSWORD, tokens["user"]["id"], tokens["access_token"])


def _make_workspace(folder: DataFolder, users: list[SeededUser], environment: dict[str, str]) -> dict[str, Any]:
    members = [option for user in users[1:] for option in ("--member", user.user_id)]
    projects = [option for project in PROJECTS for option in ("--project", project)]
    log = folder.logs / "seed.log"
    log.unlink(missing_ok=True)
    arguments = ("seed", "--owner", users[0].user_id, "--name", WORKSPACE, *members, *projects)
    run_to_end([PythonChild("seed", "tasks_service.cli", arguments, environment, log)])
    made: dict[str, Any] = json.loads(log.read_text(encoding="utf-8").strip().splitlines()[-1])
    return made
