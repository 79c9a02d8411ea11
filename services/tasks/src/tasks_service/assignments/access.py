"""How endpoints come by a task on which somebody says what an assignee has done."""

from typing import Annotated

from chassis.errors import Forbidden
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends
from sqlalchemy import RowMapping

from tasks_service.assignees.errors import AssigneeMissing
from tasks_service.path_ids import UserId
from tasks_service.permissions.policies import role_allows
from tasks_service.tasks.access import WritableTask


async def answerable_task(task: WritableTask, user_id: UserId, caller: CurrentPrincipal) -> RowMapping:
    """Return a task for which the caller may answer as one of its assignees, or for one.

    Raises what writable_task raises, AssigneeMissing.
    """
    if user_id != caller.user_id and not role_allows(task["role"], "task.answer"):
        raise Forbidden
    if user_id not in task["assignees"]:
        raise AssigneeMissing
    return task


AnswerableTask = Annotated[RowMapping, Depends(answerable_task, scope="function")]
