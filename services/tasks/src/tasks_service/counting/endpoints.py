from chassis.filtering.errors import FilterTooComplex, InvalidFilter
from chassis.identity import Principal
from chassis.timezones import UnknownTimezone
from chassis.web.app import APIRouter
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import Responses, enveloped, errors
from chassis.web.replies import reply
from chassis.web.routing import policy, scope
from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.changes.access import FreshConnection
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.counting.access import AskedCount, EachBy, GroupedBy
from tasks_service.counting.rules import Dimension
from tasks_service.counting.schemas import FACETS_EXAMPLE, GROUP_EXAMPLE, Facets, FacetValue, Group
from tasks_service.counting.service import Answer, count_tasks
from tasks_service.listing.schemas import Asked
from tasks_service.saved_filters.errors import FilterNotFound

router = APIRouter(prefix="/api/v1/tasks", tags=["tasks"])

REFUSALS = (InvalidFilter, FilterTooComplex, UnknownTimezone, FilterNotFound, NotYetConsistent)
ABOUT = (
    "Of the tasks that you can see, narrowed as in `GET /tasks`. Those of several assignees or labels count in the "
    "group of each, those without any in the one of null, and each once in `meta.total`. `meta.total_is_estimate` "
    "tells that there were too many to look at all of them: then the numbers stand for what a sample has. A count that "
    "takes the database longer than five seconds is ended, with 503 `SERVICE_UNAVAILABLE` and `Retry-After`."
)


def _example(data: object, description: str, **meta: object) -> Responses:
    told = {"total": 49, "total_is_estimate": False, **meta}
    return {200: {"description": description, "content": {"application/json": {"example": enveloped(data, **told)}}}}


@router.get(
    "/aggregate",
    summary="Count tasks in groups",
    description=(
        f"How many tasks have the same: by status, or by status and assignee, and so on. {ABOUT} The largest groups "
        "come first, at most 1,000 of them; `meta.truncated` tells that there are more. Days are those in your zone."
    ),
    response_model=Envelope[list[Group]],
    responses={**_example([GROUP_EXAMPLE], "The groups.", truncated=False), **errors(*REFUSALS)},
)
@scope("tasks:read")
@policy("task.read")
async def aggregate_tasks(
    request: Request, caller: CurrentPrincipal, connection: FreshConnection, asked: AskedCount, group_by: GroupedBy
) -> Response:
    answer = await _count(request, connection, caller, asked, group_by, is_together=True)
    groups = [Group.of(key, count) for key, count in answer.groups[0]]
    return reply(groups, meta={**answer.meta, "truncated": answer.truncated[0]})


@router.get(
    "/facets",
    summary="Count tasks by several things",
    description=(
        f"How many tasks there are of each status, of each assignee, and so on, beside a list. {ABOUT} The largest "
        "come first, at most 1,000 of each; `meta.truncated` names what has more."
    ),
    response_model=Envelope[Facets],
    responses={**_example(FACETS_EXAMPLE, "The counts.", truncated=[]), **errors(*REFUSALS)},
)
@scope("tasks:read")
@policy("task.read")
async def count_facets(
    request: Request, caller: CurrentPrincipal, connection: FreshConnection, asked: AskedCount, by: EachBy
) -> Response:
    answer = await _count(request, connection, caller, asked, by, is_together=False)
    facets = {
        one: [FacetValue(value=key[one], count=count) for key, count in groups]
        for one, groups in zip(by, answer.groups, strict=True)
    }
    truncated = [one for one, is_truncated in zip(by, answer.truncated, strict=True) if is_truncated]
    return reply(Facets.model_construct(facets), meta={**answer.meta, "truncated": truncated})


async def _count(
    request: Request,
    connection: AsyncConnection,
    caller: Principal,
    asked: Asked,
    dimensions: tuple[Dimension, ...],
    *,
    is_together: bool,
) -> Answer:
    return await count_tasks(
        connection,
        caller=caller,
        asked=asked,
        dimensions=dimensions,
        is_together=is_together,
        signer=request.app.state.cursors,
        exact_up_to=request.app.state.exact_aggregate_up_to,
    )
