"""Every table of the service, for migrations and the guards that compare them with the code."""

from tasks_service.changes.models import Change, ChangeCounter
from tasks_service.db import Base, IdempotencyKey, Inbox
from tasks_service.projects.models import Project
from tasks_service.tasks.models import Task
from tasks_service.workspaces.models import Member, ServiceAccount, Workspace

METADATA = Base.metadata

__all__ = [
    "METADATA",
    "Change",
    "ChangeCounter",
    "IdempotencyKey",
    "Inbox",
    "Member",
    "Project",
    "ServiceAccount",
    "Task",
    "Workspace",
]
