"""Which role may do what, as data, and which scope an API token needs for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Action = Literal[
    "task.read",
    "task.edit",
    "task.delete",
    "task.delete_permanently",
    "task.restore",
    "task.assign",
    "task.answer",
    "task.complete_anyway",
    "task.move",
    "task.share",
    "task.label",
    "task.follow",
    "task.comment",
    "task.keep_metadata",
    "comment.edit",
    "comment.delete",
    "comment.react",
    "project.read",
    "project.create_task",
    "project.edit",
    "project.delete",
    "project.manage_members",
    "label.edit",
    "label.delete",
    "category.edit",
    "category.delete",
    "filter.read",
    "filter.edit",
    "filter.delete",
    "workspace.read",
    "workspace.list_members",
    "workspace.edit",
    "workspace.delete",
    "workspace.create_project",
    "workspace.create_label",
    "workspace.create_category",
    "workspace.create_filter",
    "workspace.manage_members",
    "workspace.remove_member",
    "workspace.manage_owners",
    "workspace.read_audit",
    "workspace.export",
    "workspace.import",
]
ResourceType = Literal["task", "project", "workspace", "comment", "label", "category", "filter"]
Reason = Literal["ALLOWED", "NOT_FOUND", "ROLE_TOO_LOW", "INSUFFICIENT_SCOPE", "TOKEN_READ_ONLY", "TOKEN_RESTRICTED"]
WorkspaceRole = Literal["owner", "admin", "member", "guest"]
ProjectRole = Literal["manager", "editor", "commenter", "viewer"]
ShareRole = Literal["editor", "commenter", "viewer"]

WORKSPACE_ROLES: tuple[WorkspaceRole, ...] = get_args(WorkspaceRole)
PROJECT_ROLES: tuple[ProjectRole, ...] = get_args(ProjectRole)
"""Both begin with the role that may most."""
OF_WORKSPACES = frozenset({"workspace", "label", "category", "filter"})
"""Types of resources that are decided by the role in the workspace; all others are by the one in the project."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may: the roles, and of API tokens those with the scope.

    `own_roles` are enough for what is the caller's own. What reaches `beyond_projects` is not for a token that is
    restricted to projects. What is `by_project` needs the role in the project: a share of the task is not enough. It is
    about what is `in_trash`, about what is not, or with None about both.
    """

    roles: frozenset[str]
    scope: str
    own_roles: frozenset[str] = frozenset()
    beyond_projects: bool = False
    by_project: bool = False
    in_trash: bool | None = False


NOBODY: frozenset[str] = frozenset()
VIEWERS = frozenset(PROJECT_ROLES)
COMMENTERS = frozenset({"manager", "editor", "commenter"})
EDITORS = frozenset({"manager", "editor"})
PROJECT_MANAGERS = frozenset({"manager"})
EVERYBODY = frozenset(WORKSPACE_ROLES)
MEMBERS = frozenset({"owner", "admin", "member"})
ADMINS = frozenset({"owner", "admin"})
OWNERS = frozenset({"owner"})

RULES: Mapping[Action, Rule] = {
    "task.read": Rule(VIEWERS, "tasks:read"),
    "task.edit": Rule(EDITORS, "tasks:write"),
    "task.delete": Rule(EDITORS, "tasks:delete"),
    "task.delete_permanently": Rule(PROJECT_MANAGERS, "tasks:delete", in_trash=None),
    "task.restore": Rule(EDITORS, "tasks:write", in_trash=True),
    "task.assign": Rule(EDITORS, "tasks:write"),
    "task.answer": Rule(EDITORS, "tasks:write", own_roles=VIEWERS),
    "task.complete_anyway": Rule(PROJECT_MANAGERS, "tasks:write"),
    "task.move": Rule(EDITORS, "tasks:write", by_project=True),
    "task.share": Rule(PROJECT_MANAGERS, "tasks:write"),
    "task.label": Rule(EDITORS, "tasks:write", own_roles=VIEWERS),
    "task.follow": Rule(VIEWERS, "tasks:write"),
    "task.comment": Rule(COMMENTERS, "comments:write"),
    "task.keep_metadata": Rule(EDITORS, "tasks:write"),
    "comment.edit": Rule(NOBODY, "comments:write", own_roles=COMMENTERS),
    "comment.delete": Rule(PROJECT_MANAGERS, "comments:write", own_roles=COMMENTERS),
    "comment.react": Rule(COMMENTERS, "comments:write"),
    "project.read": Rule(VIEWERS, "tasks:read"),
    "project.create_task": Rule(EDITORS, "tasks:write"),
    "project.edit": Rule(PROJECT_MANAGERS, "tasks:write"),
    "project.delete": Rule(PROJECT_MANAGERS, "tasks:delete"),
    "project.manage_members": Rule(PROJECT_MANAGERS, "tasks:write"),
    "label.edit": Rule(MEMBERS, "tasks:write", own_roles=EVERYBODY, beyond_projects=True),
    "label.delete": Rule(ADMINS, "tasks:delete", own_roles=EVERYBODY, beyond_projects=True),
    "category.edit": Rule(MEMBERS, "tasks:write", own_roles=EVERYBODY, beyond_projects=True),
    "category.delete": Rule(ADMINS, "tasks:delete", own_roles=EVERYBODY, beyond_projects=True),
    # Of what is shared, a guest sees nothing.
    "filter.read": Rule(MEMBERS, "tasks:read", own_roles=EVERYBODY),
    "filter.edit": Rule(ADMINS, "tasks:write", own_roles=EVERYBODY, beyond_projects=True),
    "filter.delete": Rule(ADMINS, "tasks:delete", own_roles=EVERYBODY, beyond_projects=True),
    "workspace.read": Rule(EVERYBODY, "tasks:read"),
    "workspace.list_members": Rule(MEMBERS, "tasks:read", beyond_projects=True),
    "workspace.edit": Rule(ADMINS, "tasks:write", beyond_projects=True),
    "workspace.delete": Rule(OWNERS, "tasks:delete", beyond_projects=True),
    "workspace.create_project": Rule(MEMBERS, "tasks:write", beyond_projects=True),
    "workspace.create_label": Rule(MEMBERS, "tasks:write", beyond_projects=True),
    "workspace.create_category": Rule(MEMBERS, "tasks:write", beyond_projects=True),
    "workspace.create_filter": Rule(MEMBERS, "tasks:write", own_roles=EVERYBODY, beyond_projects=True),
    "workspace.manage_members": Rule(ADMINS, "admin:*", beyond_projects=True),
    "workspace.remove_member": Rule(ADMINS, "admin:*", own_roles=EVERYBODY, beyond_projects=True),
    "workspace.manage_owners": Rule(OWNERS, "admin:*", beyond_projects=True),
    "workspace.read_audit": Rule(ADMINS, "admin:*", beyond_projects=True),
    "workspace.export": Rule(ADMINS, "admin:*", beyond_projects=True),
    "workspace.import": Rule(ADMINS, "admin:*", beyond_projects=True),
}
OF_OTHERS: frozenset[Action] = frozenset({"task.label", "workspace.create_filter", "workspace.remove_member"})
"""Actions of which a question does not name the label, filter or member: so it is about what is not one's own."""


def ladder_of(action: Action) -> Literal["workspace", "project"]:
    """Return which of a caller's roles decides an action."""
    return "workspace" if action.partition(".")[0] in OF_WORKSPACES else "project"
