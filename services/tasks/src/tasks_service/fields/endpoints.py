from chassis.web.app import APIRouter
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import example
from chassis.web.replies import reply
from chassis.web.routing import any_credential, no_policy
from fastapi import Response

from tasks_service.fields.schemas import FIELDS_EXAMPLE, SHOWN, FieldsOut

router = APIRouter(prefix="/api/v1/meta/tasks", tags=["tasks"])


@router.get(
    "/fields",
    summary="Read what tasks can be filtered and sorted by",
    description=(
        "The fields, each with its type, its operators and an example as text (`filter=`) and as JSON "
        "(POST /tasks/search); what operators, types, functions of now and units mean; the keys of `sort=`; the "
        "parameters that filter one by one; and how large a filter may be. The table is the one that decides."
    ),
    response_model=Envelope[FieldsOut],
    responses={200: example(FIELDS_EXAMPLE, description="Everything, here shortened to the first of each.")},
)
@any_credential("the table is the same for everybody")
@no_policy("the table is the same for everybody")
async def read_task_fields(_caller: CurrentPrincipal) -> Response:
    return reply(SHOWN)
