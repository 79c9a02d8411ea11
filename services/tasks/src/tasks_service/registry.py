"""Every event that this service publishes; the contracts are written from here."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from chassis.outbox.contracts import EventContract, ResourceModel

from tasks_service.assignees.events import ASSIGNEE_UPDATED
from tasks_service.assignees.schemas import ASSIGNEE_EXAMPLE, AssigneeResource
from tasks_service.attachments.events import ATTACHMENT_CREATED, ATTACHMENT_DELETED
from tasks_service.attachments.schemas import ATTACHMENT_EXAMPLE, AttachmentResource
from tasks_service.categories.events import CATEGORY_CREATED, CATEGORY_DELETED, CATEGORY_UPDATED
from tasks_service.categories.schemas import CATEGORY_EXAMPLE, CategoryOut
from tasks_service.checklists.events import (
    CHECKLIST_ITEM_CREATED,
    CHECKLIST_ITEM_DELETED,
    CHECKLIST_ITEM_UPDATED,
)
from tasks_service.checklists.schemas import CHECKLIST_ITEM_EXAMPLE, ChecklistItemOut
from tasks_service.comments.events import COMMENT_CREATED, COMMENT_DELETED, COMMENT_UPDATED
from tasks_service.comments.schemas import COMMENT_RESOURCE_EXAMPLE, CommentResource
from tasks_service.dues.events import TASK_DUE_SOON, TASK_OVERDUE
from tasks_service.invitations.events import (
    INVITATION_CREATED,
    INVITATION_DELETED,
    INVITATION_MAIL_REQUESTED,
    INVITATION_UPDATED,
)
from tasks_service.invitations.schemas import (
    INVITATION_MAIL_EXAMPLE,
    INVITATION_RESOURCE_EXAMPLE,
    InvitationMailResource,
    InvitationResource,
)
from tasks_service.jobs.events import JOB_CREATED, JOB_UPDATED
from tasks_service.jobs.schemas import JOB_EXAMPLE, JobOut
from tasks_service.labels.events import (
    LABEL_CREATED,
    LABEL_DELETED,
    LABEL_UPDATED,
    PERSONAL_LABEL_ADDED,
    PERSONAL_LABEL_REMOVED,
)
from tasks_service.labels.schemas import LABEL_EXAMPLE, PERSONAL_LABEL_EXAMPLE, LabelOut, PersonalLabelResource
from tasks_service.metadata.events import TASK_METADATA_REMOVED, TASK_METADATA_UPDATED
from tasks_service.metadata.schemas import METADATA_RESOURCE_EXAMPLE, MetadataResource
from tasks_service.project_members.events import (
    PROJECT_MEMBER_ADDED,
    PROJECT_MEMBER_REMOVED,
    PROJECT_MEMBER_UPDATED,
)
from tasks_service.project_members.schemas import PROJECT_MEMBER_EXAMPLE, ProjectMemberResource
from tasks_service.projects.events import (
    PROJECT_CREATED,
    PROJECT_DELETED,
    PROJECT_PURGED,
    PROJECT_RESTORED,
    PROJECT_UPDATED,
)
from tasks_service.projects.schemas import PROJECT_EXAMPLE, ProjectOut
from tasks_service.reactions.events import REACTION_ADDED, REACTION_REMOVED
from tasks_service.reactions.schemas import REACTION_EXAMPLE, ReactionResource
from tasks_service.relations.events import RELATION_CREATED, RELATION_DELETED
from tasks_service.relations.schemas import RELATION_RESOURCE_EXAMPLE, RelationResource
from tasks_service.relay import SOURCE_NAME
from tasks_service.reminders.events import REMINDER_FIRED
from tasks_service.reminders.schemas import REMINDER_EXAMPLE, ReminderResource
from tasks_service.saved_filters.events import FILTER_CREATED, FILTER_DELETED, FILTER_UPDATED
from tasks_service.saved_filters.schemas import FILTER_EXAMPLE, FilterOut
from tasks_service.shares.events import TASK_SHARE_ADDED, TASK_SHARE_REMOVED, TASK_SHARE_UPDATED
from tasks_service.shares.schemas import TASK_SHARE_EXAMPLE, TaskShareResource
from tasks_service.stars.events import STAR_ADDED, STAR_REMOVED
from tasks_service.stars.schemas import STAR_EXAMPLE, StarOut
from tasks_service.statuses.events import STATUS_CREATED, STATUS_DELETED, STATUS_UPDATED
from tasks_service.statuses.schemas import STATUS_EXAMPLE, StatusOut
from tasks_service.tasks.events import (
    TASK_CREATED,
    TASK_DELETED,
    TASK_MOVED,
    TASK_PURGED,
    TASK_RESTORED,
    TASK_UPDATED,
    WATCHERS,
)
from tasks_service.tasks.schemas import TASK_EXAMPLE, TaskOut
from tasks_service.watchers.events import WATCHER_ADDED, WATCHER_REMOVED, WATCHER_UPDATED
from tasks_service.watchers.schemas import WATCHER_EXAMPLE, WATCHING_EXAMPLE, WatcherResource, Watching
from tasks_service.workspaces.events import (
    MEMBER_ADDED,
    MEMBER_REMOVED,
    MEMBER_UPDATED,
    WORKSPACE_CREATED,
    WORKSPACE_DELETED,
    WORKSPACE_UPDATED,
)
from tasks_service.workspaces.schemas import MEMBER_EXAMPLE, WORKSPACE_EXAMPLE, MemberResource, WorkspaceResource

EVERYWHERE = ("history", "feed", "websocket", "sse", "webhook")
"""Where every change of a workspace is told to who sees it."""
NOTIFIED = frozenset(
    {
        TASK_CREATED,
        TASK_UPDATED,
        TASK_MOVED,
        TASK_DELETED,
        TASK_RESTORED,
        TASK_DUE_SOON,
        TASK_OVERDUE,
        REMINDER_FIRED,
        COMMENT_CREATED,
        COMMENT_UPDATED,
        REACTION_ADDED,
        ASSIGNEE_UPDATED,
        ATTACHMENT_CREATED,
        TASK_SHARE_ADDED,
        TASK_SHARE_UPDATED,
        PROJECT_MEMBER_ADDED,
        PROJECT_MEMBER_UPDATED,
        MEMBER_ADDED,
        MEMBER_UPDATED,
        JOB_UPDATED,
    }
)
"""What somebody may be notified of."""
_WORKSPACE = {name: WORKSPACE_EXAMPLE.get(name) for name in WorkspaceResource.model_fields}
_INVITATION = dict(INVITATION_RESOURCE_EXAMPLE)
_COMMENT = dict(COMMENT_RESOURCE_EXAMPLE)
_MADE = (
    {"field": "title", "old": None, "new": TASK_EXAMPLE["title"]},
    {"field": WATCHERS, "old": None, "new": [TASK_EXAMPLE["created_by"]]},
)
"""Some of what a new task tells."""
_JOB = {**JOB_EXAMPLE, "status": "queued", "done": 0, "failed": 0, "version": 1, "started_at": None}


def _about(
    resource: ResourceModel, example: Mapping[str, Any], told: Mapping[str, str], *, stream: str = "workspace_id"
) -> Iterator[EventContract]:
    """Yield the contracts of what can happen to a resource, by type; they are about what their names begin with."""
    for type_, meaning in told.items():
        channels = (*EVERYWHERE, "notification") if type_ in NOTIFIED else EVERYWHERE
        noun = type_.partition(".")[0]
        yield EventContract(type_, SOURCE_NAME, noun, meaning, resource, dict(example), stream, channels=channels)


def _reserved(contracts: Iterator[EventContract]) -> Iterator[EventContract]:
    yield from (replace(one, reserved=True) for one in contracts)


CHANGES = (
    *_about(
        WorkspaceResource,
        _WORKSPACE,
        {WORKSPACE_CREATED: "A workspace was made.", WORKSPACE_UPDATED: "A workspace was changed."},
        stream="id",
    ),
    *_about(
        WorkspaceResource,
        {**_WORKSPACE, "personal": False, "version": 2, "deleted_at": "2026-11-25T10:00:00Z"},
        {WORKSPACE_DELETED: "A workspace was deleted with all that is in it; its former members are told."},
        stream="id",
    ),
    *_about(
        MemberResource,
        MEMBER_EXAMPLE,
        {
            MEMBER_ADDED: "Somebody became a member of a workspace.",
            MEMBER_UPDATED: "A member of a workspace got another role.",
            MEMBER_REMOVED: (
                "Somebody is no member of a workspace any more; the resource is the membership that ended."
            ),
        },
    ),
    *_about(
        ProjectOut,
        PROJECT_EXAMPLE,
        {
            PROJECT_CREATED: "A project was made.",
            PROJECT_UPDATED: "A project was changed, archived or taken out of the archive.",
            PROJECT_DELETED: "A project went to the trash; nothing that is in it is seen.",
            PROJECT_RESTORED: "A project came out of the trash.",
            PROJECT_PURGED: "A project was deleted for good; its tasks follow, each with an event of its own.",
        },
    ),
    *_about(
        ProjectMemberResource,
        PROJECT_MEMBER_EXAMPLE,
        {
            PROJECT_MEMBER_ADDED: "Somebody got a role in a project of its own.",
            PROJECT_MEMBER_UPDATED: "A member of a project got another role.",
            PROJECT_MEMBER_REMOVED: "Somebody is no member of a project any more; who it was is told, too.",
        },
    ),
    *_about(
        StatusOut,
        STATUS_EXAMPLE,
        {
            STATUS_CREATED: "A status was added to a project.",
            STATUS_UPDATED: "A status was changed; tasks that follow have events of their own.",
            STATUS_DELETED: "A status is gone; the resource is what it was.",
        },
    ),
    *(
        replace(made, changed=_MADE)
        for made in _about(
            TaskOut,
            TASK_EXAMPLE,
            {
                TASK_CREATED: "A task was made. If its maker watches it by their rule, that is one of its changes, "
                "`watchers`, and has no event of its own."
            },
        )
    ),
    *_about(
        TaskOut,
        TASK_EXAMPLE,
        {
            TASK_UPDATED: "A task was changed.",
            TASK_MOVED: "A task is in another project, and has another key; who saw it before is told, too.",
            TASK_DELETED: "A task went to the trash.",
            TASK_RESTORED: "A task came out of the trash.",
            TASK_PURGED: "A task is gone for good, with all that hung on it.",
        },
    ),
    *_reserved(
        _about(
            TaskOut,
            TASK_EXAMPLE,
            {
                TASK_DUE_SOON: "A task is due soon; told once for each time that it is due.",
                TASK_OVERDUE: "A task is overdue; told once for each time that it is due.",
            },
        )
    ),
    *_reserved(
        _about(
            ReminderResource, REMINDER_EXAMPLE, {REMINDER_FIRED: "A reminder is due; told to nobody but whose it is."}
        )
    ),
    *_about(
        AssigneeResource,
        ASSIGNEE_EXAMPLE,
        {
            ASSIGNEE_UPDATED: (
                "An assignee of a task said something else of it; who its assignees are is told by the task."
            )
        },
    ),
    *_about(
        WatcherResource,
        WATCHER_EXAMPLE,
        {
            WATCHER_ADDED: "Somebody watches a task; of who makes one, `task.created` tells it.",
            WATCHER_REMOVED: "Somebody watches a task no more.",
        },
    ),
    *_about(
        Watching,
        WATCHING_EXAMPLE,
        {WATCHER_UPDATED: "Somebody muted a task, or does so no more; told to nobody else."},
    ),
    *_about(
        CategoryOut,
        CATEGORY_EXAMPLE,
        {
            CATEGORY_CREATED: "A category was made; a personal one is told to its owner alone.",
            CATEGORY_UPDATED: "A category was changed; its tasks were not.",
            CATEGORY_DELETED: "A category was deleted; each of its tasks is told of by an event of its own.",
        },
    ),
    *_about(
        CommentResource,
        _COMMENT,
        {COMMENT_CREATED: "Somebody commented on a task. All `mentions` are to be notified."},
    ),
    *_about(
        CommentResource,
        {**_COMMENT, "version": 2, "edited_at": "2026-11-24T09:10:00Z"},
        {
            COMMENT_UPDATED: (
                "A comment was edited. To be notified are those in the new `mentions` of `changes` who are not in the "
                "old."
            )
        },
    ),
    *_about(
        CommentResource,
        {
            **_COMMENT,
            "body": None,
            "version": 2,
            "deleted_at": "2026-11-24T09:10:00Z",
            "deleted_by": _COMMENT["author_id"],
        },
        {COMMENT_DELETED: "A comment was deleted, and the reactions to it; what it said is in no field."},
    ),
    *_about(
        ChecklistItemOut,
        CHECKLIST_ITEM_EXAMPLE,
        {
            CHECKLIST_ITEM_CREATED: "An item was added to the checklist of a task.",
            CHECKLIST_ITEM_UPDATED: "An item of a checklist was changed.",
            CHECKLIST_ITEM_DELETED: "An item of a checklist was deleted, or became a subtask.",
        },
    ),
    *_about(
        StarOut,
        STAR_EXAMPLE,
        {
            STAR_ADDED: "Somebody gave a task a star; told to nobody else.",
            STAR_REMOVED: "Somebody took a star away; told to nobody else.",
        },
    ),
    *_about(
        TaskShareResource,
        TASK_SHARE_EXAMPLE,
        {
            TASK_SHARE_ADDED: "A task was shared with somebody.",
            TASK_SHARE_UPDATED: "Somebody may do something else with a task that is shared with them.",
            TASK_SHARE_REMOVED: ("A task is not shared with somebody any more; the resource is the share that ended."),
        },
    ),
    *_about(
        ReactionResource,
        REACTION_EXAMPLE,
        {
            REACTION_ADDED: "Somebody reacted to a comment.",
            REACTION_REMOVED: "Somebody took a reaction to a comment back.",
        },
    ),
    *_about(
        LabelOut,
        LABEL_EXAMPLE,
        {
            LABEL_CREATED: "A label was made; a personal one is told to its owner alone.",
            LABEL_UPDATED: "A label was changed; the tasks that have it were not.",
            LABEL_DELETED: "A label was deleted or merged into another; each of its tasks has an event of its own.",
        },
    ),
    *_about(
        PersonalLabelResource,
        PERSONAL_LABEL_EXAMPLE,
        {
            PERSONAL_LABEL_ADDED: "Somebody put a label of their own on a task; nobody else is told.",
            PERSONAL_LABEL_REMOVED: "Somebody took a label of their own off a task; nobody else is told.",
        },
    ),
    *_about(
        FilterOut,
        FILTER_EXAMPLE,
        {
            FILTER_CREATED: "A filter was saved; a personal one is told to its owner alone.",
            FILTER_UPDATED: "A saved filter was changed, shared or taken back; who sees it no more is told so.",
            FILTER_DELETED: "A saved filter was deleted; no task was.",
        },
    ),
    *_about(InvitationResource, _INVITATION, {INVITATION_CREATED: "Somebody was asked into a workspace by mail."}),
    *_about(
        InvitationResource,
        {**_INVITATION, "version": 2, "state": "accepted"},
        {INVITATION_UPDATED: "An invitation was changed, mailed again, accepted or declined."},
    ),
    *_about(
        InvitationResource,
        {**_INVITATION, "version": 2, "state": "revoked"},
        {INVITATION_DELETED: "An invitation was revoked, or went with the account that it was for."},
    ),
    *_about(
        RelationResource,
        RELATION_RESOURCE_EXAMPLE,
        {
            RELATION_CREATED: "Two tasks were related; told to those who see both.",
            RELATION_DELETED: "Two tasks are not related any more; told to those who see both.",
        },
    ),
    *_about(
        MetadataResource,
        METADATA_RESOURCE_EXAMPLE,
        {
            TASK_METADATA_UPDATED: (
                "An app keeps something with a task; what is not shared is told to its owner alone."
            ),
            TASK_METADATA_REMOVED: "An app keeps something with a task no more.",
        },
    ),
    *_about(AttachmentResource, ATTACHMENT_EXAMPLE, {ATTACHMENT_CREATED: "A file was attached to a task."}),
    *_about(
        AttachmentResource,
        {**ATTACHMENT_EXAMPLE, "version": 2},
        {ATTACHMENT_DELETED: "A file was taken off a task; the resource is what it was."},
    ),
    *_about(JobOut, _JOB, {JOB_CREATED: "Somebody started a job; told to nobody else."}),
    *_about(
        JobOut,
        JOB_EXAMPLE,
        {JOB_UPDATED: "A job got on or has ended; told to its maker alone, once a second at most."},
    ),
)
"""What is in the change log, and what will be."""
EVENTS = (
    *CHANGES,
    EventContract(
        INVITATION_MAIL_REQUESTED,
        SOURCE_NAME,
        "invitation_mail",
        "A mail is to be sent to an invited address; the token of its link is sealed.",
        InvitationMailResource,
        INVITATION_MAIL_EXAMPLE,
    ),
)
