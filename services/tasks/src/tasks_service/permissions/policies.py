"""Who may do what: the one pure decision that every endpoint and every question uses."""

from dataclasses import replace

from chassis.identity import Principal, ScopeRefusal

from tasks_service.permissions.rules import OF_OTHERS, RULES, Action, Reason, ladder_of
from tasks_service.permissions.schemas import Decision, Found, Held

NO_ROLE = "none"


def can(actor: Principal, action: Action, resource: Held | None) -> Decision:
    """Decide whether the actor may; `resource` is None for what is hidden or absent.

    The order is that of the refusals of a request, so an answer tells a token no more than a request would.
    """
    rule = RULES[action]
    refusal = actor.scope_refusal(rule.scope)
    if refusal is not None:
        return Decision(allowed=False, reason=refusal, via=_barrier(actor, refusal, rule.scope))
    if resource is None or not _reaches(actor, resource):
        return Decision(allowed=False, reason="NOT_FOUND", via=None)
    if rule.beyond_projects and actor.project_ids is not None:
        return Decision(allowed=False, reason="TOKEN_RESTRICTED", via="token:project_ids")
    allowed = role_allows(resource.role, action, is_own=resource.is_own)
    reason: Reason = "ALLOWED" if allowed else "ROLE_TOO_LOW"
    return Decision(allowed, reason, f"{ladder_of(action)}_role:{resource.role}")


def role_allows(role: str, action: Action, *, is_own: bool = False) -> bool:
    """Tell whether a role is enough for an action, whatever the caller's credential may do."""
    rule = RULES[action]
    return role in rule.roles or (is_own and role in rule.own_roles)


def held_for(action: Action, found: Found | None) -> Held | None:
    """Return what counts for an action of what was found, as the routes with that action load it."""
    rule = RULES[action]
    if found is None or rule.in_trash not in {None, found.in_trash}:
        return None
    if rule.by_project:
        return replace(found.held, role=found.role_in_project or NO_ROLE)
    return replace(found.held, is_own=False) if action in OF_OTHERS else found.held


def _barrier(actor: Principal, refusal: ScopeRefusal, scope: str) -> str:
    if refusal == "INSUFFICIENT_SCOPE":
        return f"token_scope:{scope}"
    if refusal == "TOKEN_READ_ONLY":
        return "token:read_only"
    return "token:workspace_id" if actor.project_ids is None else "token:project_ids"


def _reaches(actor: Principal, resource: Held) -> bool:
    in_project = resource.project_id is None or actor.reaches_project(resource.project_id)
    return in_project and actor.reaches_workspace(resource.workspace_id)
