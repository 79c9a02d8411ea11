from typing import Annotated
from uuid import UUID

from chassis.web.app import APIRouter
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.replies import reply
from chassis.web.routing import policy, scope
from fastapi import Query, Request, Response

from tasks_service.changes.access import FreshConnection
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.finding.schemas import FOUND_EXAMPLE, TYPES, Found, Type
from tasks_service.finding.service import Wanted, find
from tasks_service.searching.schemas import SearchedFor

router = APIRouter(prefix="/api/v1/search", tags=["search"])

MOST = 50


@router.get(
    "",
    summary="Search everything",
    description=(
        "The best tasks, projects, comments and people, each as a list of its own with the best first, of what you can "
        "see: `per_page` of each, and there are no further pages. For all tasks that fit, or with a filter, use `q` of "
        "`GET /api/v1/tasks`.\n\n"
        "Tasks are found as there, by title, key, description, comments and names of attachments; of words that very "
        "many tasks have, by the newest of these. Where fewer than five fit, tasks whose titles are like the words "
        "come after them. Projects are found by name and prefix, archived ones too (`archived_at`), and people by "
        "what their name, or a word of it, begins with, as in the directory of the workspace: guests, and API tokens "
        "that are restricted to projects, find those who share a project or a task with them. Nobody is found by "
        "their address. A search that takes the database longer than five seconds is ended, with 503 "
        "`SERVICE_UNAVAILABLE` and `Retry-After`."
    ),
    response_model=Envelope[Found],
    responses={200: example(FOUND_EXAMPLE, description="What was found."), **errors(NotYetConsistent)},
)
@scope("tasks:read")
@policy("task.read")
async def search(
    request: Request,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    q: Annotated[
        SearchedFor,
        Query(
            description='What is searched for: words, `"phrases"`, `or`, `-not`; or the key of a task, or its number.',
        ),
    ],
    types: Annotated[
        list[Type] | None, Query(description="Only these, repeated or joined by commas; all if not given.")
    ] = None,
    workspace_id: Annotated[UUID | None, Query(description="Only what is in this workspace.")] = None,
    per_page: Annotated[int, Query(ge=1, le=MOST, description="How much of each type.")] = 10,
) -> Response:
    wanted = Wanted(q.strip(), types or TYPES, workspace_id, per_page, request.app.state.ranked_up_to)
    return reply(await find(connection, caller=caller, wanted=wanted))
