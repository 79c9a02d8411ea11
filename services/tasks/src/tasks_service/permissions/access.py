"""How a route's policy is applied: the action that it declares is the one that is decided."""

from typing import cast

from chassis.errors import Forbidden
from chassis.identity import Principal
from chassis.web.routing import policy_of
from fastapi import Request

from tasks_service.permissions.policies import can
from tasks_service.permissions.rules import Action
from tasks_service.permissions.schemas import Held


def require_policy(request: Request, caller: Principal, held: Held) -> None:
    """Raise Forbidden unless the caller may do what the route of the request declares."""
    found = policy_of(request.scope["route"].endpoint)
    if found is None or found.action is None:
        raise RuntimeError("a route that loads what it is about declares its policy")
    if not can(caller, cast("Action", found.action), held).allowed:
        raise Forbidden
