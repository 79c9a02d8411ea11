"""Filling a new copy, once, the way its users would: through the API."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.tokens import IdentitySigner

from taskloom_cli.api_client import CallFailed, get, post
from taskloom_cli.children import PythonChild
from taskloom_cli.complaints import Complaint
from taskloom_cli.data import DataFolder, identity_keys
from taskloom_cli.environment import Ports
from taskloom_cli.ports import HOST
from taskloom_cli.seed_data import PASSWORD, PEOPLE, PROJECTS, TASKS, WORKSPACE, Person
from taskloom_cli.supervisor import run_to_end

SEEDED = "seeded.json"
CONFLICT = 409
REFUSALS = (401, 403, 429)
REACHED = (
    "Other machines reach this copy, and everybody knows the password of {email}: change it before you make an "
    "administrator of that account, or if it is one."
)


@dataclass(frozen=True)
class SeededUser:
    """Somebody to log in as."""

    email: str
    password: str | None
    user_id: str
    access_token: str | None
    """None, like the password, for somebody whom the example's password did not let in."""
    is_admin: bool


def seed(
    folder: DataFolder, ports: Ports, *, environments: Mapping[str, dict[str, str]], say: Callable[[str], None]
) -> tuple[list[SeededUser], str]:
    """Make people, workspace and tasks unless they are there; log everybody in. Return them and the workspace's id.

    What there is stands in a note beside the data. The first of the people is an administrator of the instance, unless
    other machines reach this copy: everybody knows the password. `say` gets a sentence about that.

    It calls the services themselves: whatever limits the gateway is given, they are for the people who come later.
    Raises Complaint.
    """
    marker = folder.root / SEEDED
    try:
        made = json.loads(marker.read_text(encoding="utf-8")) if marker.exists() else {}
        is_reached = environments["gateway"]["HOST"] != HOST
        if not made:
            _make_people(folder, ports.api["auth"], environments["auth"], has_admin=not is_reached)
        known: dict[str, str] = made.get("users", {})
        users = [_enter(ports.api["auth"], person, known) for person in PEOPLE]
        if is_reached and users[0].password is not None:
            say(REACHED.format(email=users[0].email))
        signer = IdentitySigner(identity_keys(folder)[0])
        if not made:
            _confirm_addresses(folder, environments["auth"])
            found = _find_workspace(ports.api["tasks"], signer, users[0])
            made = found or _make_workspace(folder, users, environments["tasks"])
        if "users" not in made:
            made = {**made, "users": {user.email: user.user_id for user in users}}
            _note(marker, made)
        if not made.get("complete"):
            _make_tasks(ports.api["tasks"], signer, users, made["projects"])
            _note(marker, {**made, "complete": True})
        return users, str(made["workspace_id"])
    except CallFailed as error:
        raise Complaint(f"The example data could not be made ({error}): start with --no-seed.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Complaint(f"{marker} is damaged: delete it, or start afresh with --reset.") from None


def _note(marker: Path, made: dict[str, Any]) -> None:
    """Write down what there is, whole or not at all, so that a start that is broken off can be gone on with."""
    written = marker.with_suffix(".new")
    written.write_text(json.dumps(made), encoding="utf-8")
    written.replace(marker)


def _make_people(folder: DataFolder, port: int, environment: dict[str, str], *, has_admin: bool) -> None:
    is_new, *_ = [_register(port, person) for person in PEOPLE]
    if not has_admin:
        return
    if not is_new:
        # Somebody else may have registered with this address: then the password is another, and this raises.
        _enter(port, PEOPLE[0], {})
    log = folder.logs / "grant-admin.log"
    run_to_end([PythonChild("grant-admin", "auth_service.cli", ("grant-admin", PEOPLE[0].email), environment, log)])
    if not is_new:
        # Roles have changed: access tokens of this very second are void.
        time.sleep(1)


def _confirm_addresses(folder: DataFolder, environment: dict[str, str]) -> None:
    """Confirm the addresses of the people, who have all logged in: so they can accept invitations.

    As an operator does: where their mail goes, if SMTP_URL is given, nobody of them reads it.
    """
    arguments = ("confirm-email", *(person.email for person in PEOPLE))
    run_to_end([PythonChild("confirm-email", "auth_service.cli", arguments, environment, folder.logs / "confirm.log")])


def _register(port: int, person: Person) -> bool:
    """Return False when there is an account with the address."""
    registration = {"email": person.email, "password": PASSWORD, "display_name": person.display_name}
    try:
        post(port, "/api/v1/auth/register", registration)
    except CallFailed as error:
        # An earlier start got as far as this person, and was ended.
        if error.status != CONFLICT:
            raise
        return False
    return True


def _enter(port: int, person: Person, known: Mapping[str, str]) -> SeededUser:
    """Log somebody in. A copy lives on when that is refused to somebody known.

    They may have another password or a second factor, be no user any more, or have to wait after failed logins.
    """
    try:
        tokens: dict[str, Any] = post(port, "/api/v1/auth/login", {"email": person.email, "password": PASSWORD})
    except CallFailed as error:
        if error.status not in REFUSALS or person.email not in known:
            raise
        return SeededUser(person.email, None, known[person.email], None, is_admin=False)
    user = tokens["user"]
    is_admin = "admin" in user["roles"]
    return SeededUser(person.email, PASSWORD, user["id"], tokens["access_token"], is_admin=is_admin)


def _make_tasks(port: int, signer: IdentitySigner, users: list[SeededUser], projects: dict[str, str]) -> None:
    """Make the tasks that are not there; each has an idempotency key, so that none is made twice."""
    for number, (who, project, task) in enumerate(TASKS):
        body = {**task, "project_id": projects[project]}
        post(port, "/api/v1/tasks", body, identity=_identity(signer, users[who]), key=f"seed-{number}")


def _find_workspace(port: int, signer: IdentitySigner, owner: SeededUser) -> dict[str, Any] | None:
    """Return the workspace if an earlier start made it, and was ended before it could note that."""
    identity = _identity(signer, owner)
    workspaces = get(port, "/api/v1/workspaces", identity=identity)
    found = next((one["id"] for one in workspaces if one["name"] == WORKSPACE and not one["personal"]), None)
    if found is None:
        return None
    projects = get(port, f"/api/v1/projects?workspace_id={found}", identity=identity)
    return {"workspace_id": found, "projects": {project["name"]: project["id"] for project in projects}}


def _identity(signer: IdentitySigner, user: SeededUser) -> str:
    return signer.sign(Principal(user_id=UUID(user.user_id), session_id=uuid7()), now=utcnow())


def _make_workspace(folder: DataFolder, users: list[SeededUser], environment: dict[str, str]) -> dict[str, Any]:
    members = [option for user in users[1:] for option in ("--member", user.user_id)]
    projects = [option for project in PROJECTS for option in ("--project", project)]
    log = folder.logs / "seed.log"
    log.unlink(missing_ok=True)
    arguments = ("seed", "--owner", users[0].user_id, "--name", WORKSPACE, *members, *projects)
    run_to_end([PythonChild("seed", "tasks_service.cli", arguments, environment, log)])
    made: dict[str, Any] = json.loads(log.read_text(encoding="utf-8").strip().splitlines()[-1])
    return made
