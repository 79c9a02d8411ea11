"""How endpoints come by an item of a checklist: through its task, which the route's policy is about."""

from typing import Annotated

from chassis.web.database import Writing
from fastapi import Depends
from sqlalchemy import RowMapping

from tasks_service.checklists import service
from tasks_service.path_ids import ChecklistItemId
from tasks_service.tasks.access import WritableTask


async def writable_item(task: WritableTask, item_id: ChecklistItemId, write: Writing) -> RowMapping:
    """Load an item of a task that the caller may change. Raises ChecklistItemMissing, and what WritableTask raises."""
    return await service.find_item(write.session, task_id=task["id"], item_id=item_id)


WritableItem = Annotated[RowMapping, Depends(writable_item, scope="function")]
