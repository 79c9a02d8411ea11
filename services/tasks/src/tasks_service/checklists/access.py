"""How endpoints come by an item of a checklist: through its task, which the route's policy is about."""

from typing import Annotated

from chassis.web.database import Writing
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends
from sqlalchemy import RowMapping

from tasks_service.changes.access import FreshConnection
from tasks_service.checklists import repository, service
from tasks_service.checklists.errors import ChecklistItemMissing
from tasks_service.path_ids import ChecklistItemId
from tasks_service.tasks.access import ReadableTask, WritableTask


async def readable_item(
    task: ReadableTask, item_id: ChecklistItemId, caller: CurrentPrincipal, connection: FreshConnection
) -> RowMapping:
    """Load an item of a task that the caller may see. Raises ChecklistItemMissing, and what ReadableTask raises."""
    row = await repository.find_visible(connection, caller=caller, task_id=task["id"], item_id=item_id)
    if row is None:
        raise ChecklistItemMissing
    return row


async def writable_item(task: WritableTask, item_id: ChecklistItemId, write: Writing) -> RowMapping:
    """Load an item of a task that the caller may change. Raises ChecklistItemMissing, and what WritableTask raises."""
    return await service.find_item(write.session, task_id=task["id"], item_id=item_id)


ReadableItem = Annotated[RowMapping, Depends(readable_item, scope="function")]
WritableItem = Annotated[RowMapping, Depends(writable_item, scope="function")]
