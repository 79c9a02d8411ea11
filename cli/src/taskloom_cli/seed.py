"""Filling a new copy, once, the way its users would: through the API."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.tokens import IdentitySigner

from taskloom_cli.api_client import CallFailed, post
from taskloom_cli.children import PythonChild
from taskloom_cli.complaints import Complaint
from taskloom_cli.data import DataFolder, identity_keys
from taskloom_cli.environment import Ports
from taskloom_cli.seed_data import PASSWORD, PEOPLE, PROJECTS, TASKS, WORKSPACE, Person
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


def seed(folder: DataFolder, ports: Ports, *, environment: dict[str, str]) -> tuple[list[SeededUser], str]:
    """Make people, workspace and tasks unless they are there; log everybody in. Return them and the workspace's id.

    It calls the services themselves: whatever limits the gateway is given, they are for the people who come later.
    Raises Complaint.
    """
    marker = folder.root / SEEDED
    try:
        if marker.exists():
            workspace_id = str(json.loads(marker.read_text(encoding="utf-8"))["workspace_id"])
            return [_log_in(ports.api["auth"], person) for person in PEOPLE], workspace_id
        users = [_register(ports.api["auth"], person) for person in PEOPLE]
        made = _make_workspace(folder, users, environment)
        _make_tasks(folder, ports.api["tasks"], users, made["projects"])
        marker.write_text(json.dumps(made), encoding="utf-8")
    except CallFailed as error:
        raise Complaint(f"The example data could not be made ({error}): start with --no-seed.") from None
    except (ValueError, KeyError):
        raise Complaint(f"{marker} is damaged: delete it, or start afresh with --reset.") from None
    return users, str(made["workspace_id"])


def _register(port: int, person: Person) -> SeededUser:
    registration = {"email": person.email, "password": PASSWORD, "display_name": person.display_name}
    try:
        post(port, "/api/v1/auth/register", registration)
    except CallFailed as error:
        # An earlier start got as far as this person, and was ended.
        if error.status != CONFLICT:
            raise
    return _log_in(port, person)


def _log_in(port: int, person: Person) -> SeededUser:
    tokens: dict[str, Any] = post(port, "/api/v1/auth/login", {"email": person.email, "password": PASSWORD})
    return SeededUser(person.email, PASSWORD, tokens["user"]["id"], tokens["access_token"])


def _make_tasks(folder: DataFolder, port: int, users: list[SeededUser], projects: dict[str, str]) -> None:
    signer = IdentitySigner(identity_keys(folder)[0])
    callers = [Principal(user_id=UUID(user.user_id), session_id=uuid7()) for user in users]
    for who, project, task in TASKS:
        identity = signer.sign(callers[who], now=utcnow())
        post(port, "/api/v1/tasks", {**task, "project_id": projects[project]}, identity=identity)


def _make_workspace(folder: DataFolder, users: list[SeededUser], environment: dict[str, str]) -> dict[str, Any]:
    members = [option for user in users[1:] for option in ("--member", user.user_id)]
    projects = [option for project in PROJECTS for option in ("--project", project)]
    log = folder.logs / "seed.log"
    log.unlink(missing_ok=True)
    arguments = ("seed", "--owner", users[0].user_id, "--name", WORKSPACE, *members, *projects)
    run_to_end([PythonChild("seed", "tasks_service.cli", arguments, environment, log)])
    made: dict[str, Any] = json.loads(log.read_text(encoding="utf-8").strip().splitlines()[-1])
    return made
