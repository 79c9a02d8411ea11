"""How endpoints come by a label: loaded through what the caller sees, and authorised by the route's policy."""

from dataclasses import dataclass
from typing import Annotated

from chassis.web.database import Writing
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Request
from sqlalchemy import RowMapping

from tasks_service.changes.access import FreshConnection
from tasks_service.labels.schemas import LABEL
from tasks_service.names.errors import NamedMissing
from tasks_service.names.policies import held
from tasks_service.names.repository import find_visible
from tasks_service.path_ids import LabelId
from tasks_service.permissions.access import require_policy
from tasks_service.permissions.schemas import Held
from tasks_service.projects.errors import ProjectArchived
from tasks_service.tasks.access import SeenTask


@dataclass(frozen=True, slots=True)
class Labelling:
    """A task, and a label that is put on it or taken off."""

    task: RowMapping
    label: RowMapping

    @property
    def is_personal(self) -> bool:
        """Whether it is about the caller alone."""
        return self.label["owner_id"] is not None


async def readable_label(label_id: LabelId, caller: CurrentPrincipal, connection: FreshConnection) -> RowMapping:
    """Load a label that the caller may see. Raises NamedMissing."""
    row = await find_visible(connection, LABEL.table, caller=caller, row_id=label_id)
    if row is None:
        raise NamedMissing
    return row


async def writable_label(request: Request, label_id: LabelId, caller: CurrentPrincipal, write: Writing) -> RowMapping:
    """Load a label for what the route's policy says, in the transaction of that. Raises NamedMissing, Forbidden."""
    row = await find_visible(write.session, LABEL.table, caller=caller, row_id=label_id)
    if row is None:
        raise NamedMissing
    require_policy(request, caller, held(caller, row))
    return row


async def labelling(
    request: Request, label_id: LabelId, task: SeenTask, caller: CurrentPrincipal, write: Writing
) -> Labelling:
    """Load a task and a label that it can have: who sees the task may put an own label on it, archived or not.

    Raises NamedMissing, Forbidden, ProjectArchived.
    """
    label = await find_visible(write.session, LABEL.table, caller=caller, row_id=label_id)
    if label is None:
        raise NamedMissing
    found = Labelling(task, label)
    if not found.is_personal and label["workspace_id"] != task["workspace_id"]:
        raise NamedMissing
    mine = Held(task["role"], task["workspace_id"], task["project_id"], is_own=found.is_personal)
    require_policy(request, caller, mine)
    if task["is_archived"] and not found.is_personal:
        raise ProjectArchived
    return found


ReadableLabel = Annotated[RowMapping, Depends(readable_label, scope="function")]
WritableLabel = Annotated[RowMapping, Depends(writable_label, scope="function")]
TaskAndLabel = Annotated[Labelling, Depends(labelling, scope="function")]
