"""Which role may do what, as data, and which scope an API token needs for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Action = Literal[
    "task.read",
    "task.edit",
    "task.delete",
    "task.assign",
    "task.comment",
    "project.read",
    "project.edit",
    "project.create_task",
    "workspace.read",
    "workspace.edit",
    "workspace.create_project",
    "workspace.manage_members",
]
ResourceType = Literal["task", "project", "workspace"]
Reason = Literal["ALLOWED", "NOT_FOUND", "ROLE_TOO_LOW", "INSUFFICIENT_SCOPE", "TOKEN_READ_ONLY", "TOKEN_RESTRICTED"]


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may: the roles in the workspace, and of API tokens those with the scope.

    What reaches `beyond_projects` is not for a token that is restricted to projects.
    """

    roles: frozenset[str]
    scope: str
    beyond_projects: bool = False


EVERYBODY = frozenset({"owner", "admin", "member", "guest"})
EDITORS = frozenset({"owner", "admin", "member"})
MANAGERS = frozenset({"owner", "admin"})

RULES: Mapping[Action, Rule] = {
    "task.read": Rule(EVERYBODY, "tasks:read"),
    "task.edit": Rule(EDITORS, "tasks:write"),
    "task.delete": Rule(EDITORS, "tasks:delete"),
    "task.assign": Rule(EDITORS, "tasks:write"),
    "task.comment": Rule(EDITORS, "comments:write"),
    "project.read": Rule(EVERYBODY, "tasks:read"),
    "project.edit": Rule(MANAGERS, "tasks:write"),
    "project.create_task": Rule(EDITORS, "tasks:write"),
    "workspace.read": Rule(EVERYBODY, "tasks:read"),
    "workspace.edit": Rule(MANAGERS, "tasks:write", beyond_projects=True),
    "workspace.create_project": Rule(EDITORS, "tasks:write", beyond_projects=True),
    "workspace.manage_members": Rule(MANAGERS, "admin:*", beyond_projects=True),
}
