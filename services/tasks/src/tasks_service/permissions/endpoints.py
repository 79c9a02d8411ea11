from chassis.web.app import APIRouter
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.replies import reply
from chassis.web.routing import any_credential, no_policy
from fastapi import Response

from tasks_service.changes.access import FreshConnection
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.permissions import service
from tasks_service.permissions.rules import RULES, ladder_of
from tasks_service.permissions.schemas import DECISIONS_EXAMPLE, RULES_EXAMPLE, Checks, DecisionOut, RuleOut

router = APIRouter(prefix="/api/v1/authz", tags=["permissions"])
meta = APIRouter(prefix="/api/v1/meta", tags=["permissions"])


@router.post(
    "/check",
    summary="Ask what you may do",
    description=(
        "Up to 100 questions at once, answered in their order and as a request would be: what is hidden from you is "
        "`NOT_FOUND` like what is not there, and the scopes and restrictions of an API token count. A task in the "
        "trash is there for `task.restore` and `task.delete_permanently` alone, and for `task.restore` no other is. "
        "`task.answer` is about your own answer if you are an assignee. `task.label` is about labels of the workspace: "
        "one's own are put on whatever one sees. `workspace.remove_member` is about others: to leave needs no role."
    ),
    response_model=Envelope[list[DecisionOut]],
    responses={
        200: example(DECISIONS_EXAMPLE, description="One answer a question."),
        **errors(NotYetConsistent),
    },
)
@any_credential("a token may ask what it may do")
@no_policy("asks what there is to decide, and shows no more than that")
async def check_permissions(body: Checks, caller: CurrentPrincipal, connection: FreshConnection) -> Response:
    decisions = await service.decide(connection, caller=caller, checks=body.checks)
    return reply([DecisionOut(allowed=one.allowed, reason=one.reason, via=one.via) for one in decisions])


@meta.get(
    "/permissions",
    summary="Read the table of roles and actions",
    description=(
        "Every action with the roles that may, those that may with what is their own, and the scope that an API token "
        "needs. The table is the one that decides."
    ),
    response_model=Envelope[list[RuleOut]],
    responses={200: example(RULES_EXAMPLE, description="One entry an action.")},
)
@any_credential("the table is the same for everybody")
@no_policy("the table is the same for everybody")
async def list_permissions(_caller: CurrentPrincipal) -> Response:
    return reply(
        [
            RuleOut(
                action=action,
                role_in=ladder_of(action),
                roles=sorted(rule.roles),
                own_roles=sorted(rule.own_roles - rule.roles),
                scope=rule.scope,
            )
            for action, rule in RULES.items()
        ]
    )
