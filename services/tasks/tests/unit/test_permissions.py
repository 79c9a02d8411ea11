"""The table of roles, cell by cell, and what an API token takes away from it."""

from dataclasses import replace
from typing import get_args
from uuid import UUID

import pytest
from chassis.errors import AppError
from chassis.identity import Principal
from chassis.web.identity import check_token
from chassis.web.routing import TokenRule
from tasks_service.permissions.policies import can, role_allows
from tasks_service.permissions.rules import RULES, Action
from tasks_service.permissions.schemas import Decision, Held

LADDERS = {
    "workspace": ("guest", "member", "admin", "owner"),
    "project": ("viewer", "commenter", "editor", "manager"),
}
# The least role that may, the scope that a token needs, and the least role where it is the caller's own.
TABLE = {
    "task.read": ("viewer", "tasks:read", None),
    "task.edit": ("editor", "tasks:write", None),
    "task.delete": ("editor", "tasks:delete", None),
    "task.delete_permanently": ("manager", "tasks:delete", None),
    "task.restore": ("editor", "tasks:write", None),
    "task.assign": ("editor", "tasks:write", None),
    "task.answer": ("editor", "tasks:write", "viewer"),
    "task.complete_anyway": ("manager", "tasks:write", None),
    "task.move": ("editor", "tasks:write", None),
    "task.share": ("manager", "tasks:write", None),
    "task.label": ("editor", "tasks:write", "viewer"),
    "task.follow": ("viewer", "tasks:write", None),
    "task.comment": ("commenter", "comments:write", None),
    "task.keep_metadata": ("editor", "tasks:write", None),
    "comment.edit": (None, "comments:write", "commenter"),
    "comment.delete": ("manager", "comments:write", "commenter"),
    "comment.react": ("commenter", "comments:write", None),
    "project.read": ("viewer", "tasks:read", None),
    "project.create_task": ("editor", "tasks:write", None),
    "project.edit": ("manager", "tasks:write", None),
    "project.delete": ("manager", "tasks:delete", None),
    "project.manage_members": ("manager", "tasks:write", None),
    "label.edit": ("member", "tasks:write", "guest"),
    "label.delete": ("admin", "tasks:delete", "guest"),
    "category.edit": ("member", "tasks:write", "guest"),
    "category.delete": ("admin", "tasks:delete", "guest"),
    "filter.read": ("member", "tasks:read", "guest"),
    "filter.edit": ("admin", "tasks:write", "guest"),
    "filter.delete": ("admin", "tasks:delete", "guest"),
    "workspace.read": ("guest", "tasks:read", None),
    "workspace.list_members": ("member", "tasks:read", None),
    "workspace.edit": ("admin", "tasks:write", None),
    "workspace.delete": ("owner", "tasks:delete", None),
    "workspace.create_project": ("member", "tasks:write", None),
    "workspace.create_label": ("member", "tasks:write", None),
    "workspace.create_category": ("member", "tasks:write", None),
    "workspace.create_filter": ("member", "tasks:write", "guest"),
    "workspace.manage_members": ("admin", "admin:*", None),
    "workspace.remove_member": ("admin", "admin:*", "guest"),
    "workspace.manage_owners": ("owner", "admin:*", None),
    "workspace.read_audit": ("admin", "admin:*", None),
    "workspace.export": ("admin", "admin:*", None),
    "workspace.import": ("admin", "admin:*", None),
}
OF_WORKSPACES = ("workspace.", "label.", "category.", "filter.")
READING = ("workspace.read", "filter.read")
BEYOND_PROJECTS = {action for action in TABLE if action.startswith(OF_WORKSPACES) and action not in READING}


def ladder(action):
    return "workspace" if action.startswith(OF_WORKSPACES) else "project"


def highest(action):
    return LADDERS[ladder(action)][-1]


def roles_from(action, least):
    steps = LADDERS[ladder(action)]
    return () if least is None else steps[steps.index(least) :]


SCOPES = {action: scope for action, (_, scope, _) in TABLE.items()}
MAY = {action: roles_from(action, least) for action, (least, _, _) in TABLE.items()}
MAY_OWN = {action: (*roles_from(action, own), *MAY[action]) for action, (_, _, own) in TABLE.items()}
CELLS = [
    (action, role, own)
    for action in TABLE
    for role in (*LADDERS["workspace"], *LADDERS["project"], "a role of tomorrow")
    for own in (False, True)
]
ALL_SCOPES = frozenset({"tasks:read", "tasks:write", "tasks:delete", "comments:write", "webhooks:manage", "admin:*"})
USER, TOKEN, WORKSPACE, PROJECT, OTHER = (UUID(int=n) for n in range(5))
PERSON = Principal(USER, TOKEN)


def token(*scopes, **bounds):
    return Principal(USER, TOKEN, scopes=frozenset(scopes or ALL_SCOPES), via="token", **bounds)


def held(action, role=None, *, own=True):
    project = None if action.startswith(OF_WORKSPACES) else PROJECT
    return Held(role or highest(action), WORKSPACE, project, is_own=own)


def test_n2_the_table_has_every_action():
    assert set(get_args(Action)) == set(RULES) == set(TABLE)


@pytest.mark.parametrize(("action", "role", "own"), CELLS)
def test_n2_every_cell(action, role, own):
    allowed = role in (MAY_OWN if own else MAY)[action]
    expected = Decision(allowed, "ALLOWED" if allowed else "ROLE_TOO_LOW", f"{ladder(action)}_role:{role}")
    mine = held(action, role, own=own)
    assert can(PERSON, action, mine) == can(token(), action, mine) == expected
    assert role_allows(role, action, is_own=own) is allowed


@pytest.mark.parametrize("actor", [PERSON, token()])
@pytest.mark.parametrize("action", MAY)
def test_a10_what_is_hidden_or_absent_is_not_found(action, actor):
    assert can(actor, action, None) == Decision(allowed=False, reason="NOT_FOUND", via=None)


@pytest.mark.parametrize("resource", [True, False])
@pytest.mark.parametrize("action", MAY)
def test_a10_a_token_needs_the_scope_and_without_it_learns_nothing(action, resource):
    scope = SCOPES[action]
    lacking = Decision(allowed=False, reason="INSUFFICIENT_SCOPE", via=f"token_scope:{scope}")
    wanted = held(action) if resource else None
    assert can(token(*(ALL_SCOPES - {scope})), action, wanted) == lacking
    assert can(token(scope), action, held(action)).allowed


@pytest.mark.parametrize("action", MAY)
def test_a10_a_read_only_token_reads(action):
    decision = can(token(read_only=True), action, held(action))
    assert decision.reason == ("ALLOWED" if SCOPES[action] == "tasks:read" else "TOKEN_READ_ONLY")
    assert decision.via == (f"{ladder(action)}_role:{highest(action)}" if decision.allowed else "token:read_only")


@pytest.mark.parametrize("action", MAY)
def test_a8_a_token_reaches_what_it_is_restricted_to(action):
    if SCOPES[action] != "admin:*":
        assert can(token(workspace_id=WORKSPACE), action, held(action)).allowed
        assert can(token(workspace_id=OTHER), action, held(action)).reason == "NOT_FOUND"
    in_project = can(token(project_ids=frozenset({PROJECT})), action, held(action))
    beyond = action in BEYOND_PROJECTS
    assert in_project.reason == ("TOKEN_RESTRICTED" if beyond else "ALLOWED")
    assert in_project.via == ("token:project_ids" if beyond else f"{ladder(action)}_role:{highest(action)}")
    elsewhere = can(token(project_ids=frozenset({OTHER})), action, held(action))
    if ladder(action) == "project":
        assert elsewhere.reason == "NOT_FOUND"


@pytest.mark.parametrize("workspace", [WORKSPACE, OTHER])
@pytest.mark.parametrize("resource", [True, False])
def test_a8_a_token_for_a_workspace_does_nothing_that_is_about_the_instance(resource, workspace):
    wanted = held("workspace.manage_members") if resource else None
    refused = Decision(allowed=False, reason="TOKEN_RESTRICTED", via="token:workspace_id")
    bound = token(workspace_id=workspace)
    assert can(bound, "workspace.manage_members", wanted) == refused
    assert can(replace(bound, read_only=True), "workspace.manage_members", wanted) == refused


BOUNDS = ({}, {"workspace_id": WORKSPACE}, {"project_ids": frozenset({PROJECT})})


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
@pytest.mark.parametrize("scopes", [ALL_SCOPES, frozenset({"tasks:read"})], ids=len)
@pytest.mark.parametrize("action", MAY)
def test_a10_what_is_said_of_a_tokens_scopes_is_what_a_request_is_refused_for(action, scopes, bounds, read_only):
    """Of what is absent, `can` says what it refuses before it looks, as a request by POST is refused."""
    caller = token(*scopes, read_only=read_only, **bounds)
    try:
        check_token(caller, TokenRule(SCOPES[action]), method="POST")
    except AppError as refusal:
        said = refusal.code
    else:
        said = "NOT_FOUND"
    assert can(caller, action, None).reason == said
