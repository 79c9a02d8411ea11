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

ROLES = ("owner", "admin", "member", "guest")
MAY = {
    "task.read": ROLES,
    "task.edit": ("owner", "admin", "member"),
    "task.delete": ("owner", "admin", "member"),
    "task.assign": ("owner", "admin", "member"),
    "task.comment": ("owner", "admin", "member"),
    "project.read": ROLES,
    "project.edit": ("owner", "admin"),
    "project.create_task": ("owner", "admin", "member"),
    "workspace.read": ROLES,
    "workspace.edit": ("owner", "admin"),
    "workspace.create_project": ("owner", "admin", "member"),
    "workspace.manage_members": ("owner", "admin"),
}
SCOPES = {
    "task.read": "tasks:read",
    "task.edit": "tasks:write",
    "task.delete": "tasks:delete",
    "task.assign": "tasks:write",
    "task.comment": "comments:write",
    "project.read": "tasks:read",
    "project.edit": "tasks:write",
    "project.create_task": "tasks:write",
    "workspace.read": "tasks:read",
    "workspace.edit": "tasks:write",
    "workspace.create_project": "tasks:write",
    "workspace.manage_members": "admin:*",
}
ALL_SCOPES = frozenset({"tasks:read", "tasks:write", "tasks:delete", "comments:write", "webhooks:manage", "admin:*"})
USER, TOKEN, WORKSPACE, PROJECT, OTHER = (UUID(int=n) for n in range(5))
PERSON = Principal(USER, TOKEN)


def token(*scopes, **bounds):
    return Principal(USER, TOKEN, scopes=frozenset(scopes or ALL_SCOPES), via="token", **bounds)


def held(action, role="owner"):
    return Held(role, WORKSPACE, None if action.startswith("workspace.") else PROJECT)


def test_n2_the_table_has_every_action():
    assert set(get_args(Action)) == set(RULES) == set(MAY) == set(SCOPES)


@pytest.mark.parametrize("role", [*ROLES, "a role of tomorrow"])
@pytest.mark.parametrize("action", MAY)
def test_n2_every_cell(action, role):
    allowed = role in MAY[action]
    expected = Decision(allowed, "ALLOWED" if allowed else "ROLE_TOO_LOW", f"workspace_role:{role}")
    assert can(PERSON, action, held(action, role)) == can(token(), action, held(action, role)) == expected
    assert role_allows(role, action) is allowed


@pytest.mark.parametrize("actor", [PERSON, token()])
@pytest.mark.parametrize("action", MAY)
def test_a10_what_is_hidden_or_absent_is_not_found(action, actor):
    assert can(actor, action, None) == Decision(allowed=False, reason="NOT_FOUND", via=None)


@pytest.mark.parametrize("resource", [True, False])
@pytest.mark.parametrize("action", MAY)
def test_a10_a_token_needs_the_scope_and_without_it_learns_nothing(action, resource):
    scope = SCOPES[action]
    lacking = Decision(allowed=False, reason="INSUFFICIENT_SCOPE", via=f"token_scope:{scope}")
    wanted = held(action, "guest") if resource else None
    assert can(token(*(ALL_SCOPES - {scope})), action, wanted) == lacking
    assert can(token(scope), action, held(action)).allowed


@pytest.mark.parametrize("action", MAY)
def test_a10_a_read_only_token_reads(action):
    decision = can(token(read_only=True), action, held(action))
    assert decision.reason == ("ALLOWED" if SCOPES[action] == "tasks:read" else "TOKEN_READ_ONLY")
    assert decision.via == ("workspace_role:owner" if decision.allowed else "token:read_only")


@pytest.mark.parametrize("action", MAY)
def test_a8_a_token_reaches_what_it_is_restricted_to(action):
    beyond = {"workspace.edit", "workspace.create_project", "workspace.manage_members"}
    if action != "workspace.manage_members":
        assert can(token(workspace_id=WORKSPACE), action, held(action)).allowed
        assert can(token(workspace_id=OTHER), action, held(action)).reason == "NOT_FOUND"
    in_project = can(token(project_ids=frozenset({PROJECT})), action, held(action))
    assert in_project.reason == ("TOKEN_RESTRICTED" if action in beyond else "ALLOWED")
    assert in_project.via == ("token:project_ids" if action in beyond else "workspace_role:owner")
    elsewhere = can(token(project_ids=frozenset({OTHER})), action, held(action))
    if not action.startswith("workspace."):
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
