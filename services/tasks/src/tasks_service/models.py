"""Every table of the service, for migrations and the guards that compare them with the code."""

from tasks_service.assignees.models import Assignee
from tasks_service.categories.models import Category
from tasks_service.changes.models import Change, ChangeCounter
from tasks_service.checklists.models import ChecklistItem
from tasks_service.comments.models import Comment, CommentVersion, Reaction
from tasks_service.db import Base, IdempotencyKey, Inbox, Outbox
from tasks_service.directory.models import Person
from tasks_service.ended_credentials.models import EndedCredential
from tasks_service.file_parts.models import FilePart
from tasks_service.import_sources.models import ImportSeen, ImportSource
from tasks_service.invitations.models import Invitation
from tasks_service.jobs.models import Job, JobItem
from tasks_service.labels.models import Label, PersonalLabel
from tasks_service.matching.models import TaskMark
from tasks_service.metadata.models import MetadataNamespace, TaskMetadata
from tasks_service.projects.models import Project, ProjectMember, ProjectPrefix
from tasks_service.relations.models import Relation
from tasks_service.saved_filters.models import SavedFilter
from tasks_service.search.models import SearchDocument
from tasks_service.shares.models import TaskShare
from tasks_service.stars.models import Star
from tasks_service.statuses.models import Status
from tasks_service.tasks.models import Task, TaskKeyAlias
from tasks_service.watchers.models import Watcher, WatchRule
from tasks_service.workspaces.models import Member, ServiceAccount, Workspace

METADATA = Base.metadata

__all__ = [
    "METADATA",
    "Assignee",
    "Category",
    "Change",
    "ChangeCounter",
    "ChecklistItem",
    "Comment",
    "CommentVersion",
    "EndedCredential",
    "FilePart",
    "IdempotencyKey",
    "ImportSeen",
    "ImportSource",
    "Inbox",
    "Invitation",
    "Job",
    "JobItem",
    "Label",
    "Member",
    "MetadataNamespace",
    "Outbox",
    "Person",
    "PersonalLabel",
    "Project",
    "ProjectMember",
    "ProjectPrefix",
    "Reaction",
    "Relation",
    "SavedFilter",
    "SearchDocument",
    "ServiceAccount",
    "Star",
    "Status",
    "Task",
    "TaskKeyAlias",
    "TaskMark",
    "TaskMetadata",
    "TaskShare",
    "WatchRule",
    "Watcher",
    "Workspace",
]
