"""Every event that this service publishes; the contracts are written from here."""

from typing import Any

from chassis.outbox.contracts import EventContract

from tasks_service.assignees.events import ASSIGNEE_UPDATED
from tasks_service.assignees.schemas import ASSIGNEE_EXAMPLE, AssigneeResource
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

_WORKSPACE = {name: WORKSPACE_EXAMPLE.get(name) for name in WorkspaceResource.model_fields}

_CATEGORY_EVENTS = {
    CATEGORY_CREATED: "A category was made; a personal one is told to its owner alone.",
    CATEGORY_UPDATED: "A category was changed; its tasks were not.",
    CATEGORY_DELETED: "A category was deleted; each of its tasks is told of by an event of its own.",
}
_LABEL_EVENTS = {
    LABEL_CREATED: "A label was made; a personal one is told to its owner alone.",
    LABEL_UPDATED: "A label was changed; the tasks that have it were not.",
    LABEL_DELETED: "A label was deleted or merged into another; each of its tasks has an event of its own.",
}
_PERSONAL_LABEL_EVENTS = {
    PERSONAL_LABEL_ADDED: "Somebody put a label of their own on a task; nobody else is told.",
    PERSONAL_LABEL_REMOVED: "Somebody took a label of their own off a task; nobody else is told.",
}

_FILTER_EVENTS = {
    FILTER_CREATED: "A filter was saved; a personal one is told to its owner alone.",
    FILTER_UPDATED: "A saved filter was changed, shared or taken back; who sees it no more is told so.",
    FILTER_DELETED: "A saved filter was deleted; no task was.",
}

_COMMENT = dict(COMMENT_RESOURCE_EXAMPLE)
_COMMENT_EVENTS: dict[str, tuple[str, dict[str, Any]]] = {
    COMMENT_CREATED: ("Somebody commented on a task. All `mentions` are to be notified.", {}),
    COMMENT_UPDATED: (
        "A comment was edited. To be notified are those in the new `mentions` of `changes` who are not in the old.",
        {"version": 2, "edited_at": "2026-11-24T09:10:00Z"},
    ),
    COMMENT_DELETED: (
        "A comment was deleted, and the reactions to it; what it said is in no field.",
        {"body": None, "version": 2, "deleted_at": "2026-11-24T09:10:00Z", "deleted_by": _COMMENT["author_id"]},
    ),
}
_JOB = {**JOB_EXAMPLE, "status": "queued", "done": 0, "failed": 0, "version": 1, "started_at": None}
_JOB_EVENTS: dict[str, tuple[str, dict[str, Any]]] = {
    JOB_CREATED: ("Somebody started a job; told to nobody else.", _JOB),
    JOB_UPDATED: ("A job got on or has ended; told to its maker alone, once a second at most.", JOB_EXAMPLE),
}
_STAR_EVENTS = {
    STAR_ADDED: "Somebody gave a task a star; told to nobody else.",
    STAR_REMOVED: "Somebody took a star away; told to nobody else.",
}
_TASK_SHARE_EVENTS = {
    TASK_SHARE_ADDED: "A task was shared with somebody.",
    TASK_SHARE_UPDATED: "Somebody may do something else with a task that is shared with them.",
    TASK_SHARE_REMOVED: "A task is not shared with somebody any more; the resource is the share that ended.",
}
_CHECKLIST_EVENTS = {
    CHECKLIST_ITEM_CREATED: "An item was added to the checklist of a task.",
    CHECKLIST_ITEM_UPDATED: "An item of a checklist was changed.",
    CHECKLIST_ITEM_DELETED: "An item of a checklist was deleted, or became a subtask.",
}
_REACTION_EVENTS = {
    REACTION_ADDED: "Somebody reacted to a comment.",
    REACTION_REMOVED: "Somebody took a reaction to a comment back.",
}
_RELATION_EVENTS = {
    RELATION_CREATED: "Two tasks were related; told to those who see both.",
    RELATION_DELETED: "Two tasks are not related any more; told to those who see both.",
}
_METADATA_EVENTS = {
    TASK_METADATA_UPDATED: "An app keeps something with a task; what is not shared is told to its owner alone.",
    TASK_METADATA_REMOVED: "An app keeps something with a task no more.",
}

EVENTS = (
    EventContract(WORKSPACE_CREATED, SOURCE_NAME, "workspace", "A workspace was made.", WorkspaceResource, _WORKSPACE),
    EventContract(
        WORKSPACE_UPDATED, SOURCE_NAME, "workspace", "A workspace was changed.", WorkspaceResource, _WORKSPACE
    ),
    EventContract(
        WORKSPACE_DELETED,
        SOURCE_NAME,
        "workspace",
        "A workspace was deleted with all that is in it; its former members are told.",
        WorkspaceResource,
        {**_WORKSPACE, "personal": False, "version": 2, "deleted_at": "2026-11-25T10:00:00Z"},
    ),
    EventContract(
        MEMBER_ADDED,
        SOURCE_NAME,
        "member",
        "Somebody became a member of a workspace.",
        MemberResource,
        MEMBER_EXAMPLE,
        stream="workspace_id",
    ),
    EventContract(
        MEMBER_UPDATED,
        SOURCE_NAME,
        "member",
        "A member of a workspace got another role.",
        MemberResource,
        MEMBER_EXAMPLE,
        stream="workspace_id",
    ),
    EventContract(
        MEMBER_REMOVED,
        SOURCE_NAME,
        "member",
        "Somebody is no member of a workspace any more; the resource is the membership that ended.",
        MemberResource,
        MEMBER_EXAMPLE,
        stream="workspace_id",
    ),
    *(
        EventContract(type_, SOURCE_NAME, "project", meaning, ProjectOut, PROJECT_EXAMPLE, "workspace_id")
        for type_, meaning in (
            (PROJECT_CREATED, "A project was made."),
            (PROJECT_UPDATED, "A project was changed, archived or taken out of the archive."),
            (PROJECT_DELETED, "A project went to the trash; nothing that is in it is seen."),
            (PROJECT_RESTORED, "A project came out of the trash."),
            (PROJECT_PURGED, "A project was deleted for good; its tasks follow, each with an event of its own."),
        )
    ),
    *(
        EventContract(
            type_,
            SOURCE_NAME,
            "project_member",
            meaning,
            ProjectMemberResource,
            PROJECT_MEMBER_EXAMPLE,
            "workspace_id",
        )
        for type_, meaning in (
            (PROJECT_MEMBER_ADDED, "Somebody got a role in a project of its own."),
            (PROJECT_MEMBER_UPDATED, "A member of a project got another role."),
            (PROJECT_MEMBER_REMOVED, "Somebody is no member of a project any more; who it was is told, too."),
        )
    ),
    EventContract(
        TASK_RESTORED, SOURCE_NAME, "task", "A task came out of the trash.", TaskOut, TASK_EXAMPLE, "workspace_id"
    ),
    *(
        EventContract(type_, SOURCE_NAME, "status", meaning, StatusOut, STATUS_EXAMPLE, "workspace_id")
        for type_, meaning in (
            (STATUS_CREATED, "A status was added to a project."),
            (STATUS_UPDATED, "A status was changed; tasks that follow have events of their own."),
            (STATUS_DELETED, "A status is gone; the resource is what it was."),
        )
    ),
    EventContract(TASK_CREATED, SOURCE_NAME, "task", "A task was made.", TaskOut, TASK_EXAMPLE, "workspace_id"),
    EventContract(TASK_UPDATED, SOURCE_NAME, "task", "A task was changed.", TaskOut, TASK_EXAMPLE, "workspace_id"),
    EventContract(
        TASK_MOVED,
        SOURCE_NAME,
        "task",
        "A task is in another project, and has another key; who saw it before is told, too.",
        TaskOut,
        TASK_EXAMPLE,
        "workspace_id",
    ),
    EventContract(
        TASK_PURGED,
        SOURCE_NAME,
        "task",
        "A task is gone for good, with all that hung on it.",
        TaskOut,
        TASK_EXAMPLE,
        "workspace_id",
    ),
    EventContract(
        TASK_DELETED, SOURCE_NAME, "task", "A task went to the trash.", TaskOut, TASK_EXAMPLE, "workspace_id"
    ),
    EventContract(
        ASSIGNEE_UPDATED,
        SOURCE_NAME,
        "assignee",
        "An assignee of a task said something else of it; who its assignees are is told by the task.",
        AssigneeResource,
        ASSIGNEE_EXAMPLE,
        "workspace_id",
    ),
    EventContract(
        WATCHER_ADDED,
        SOURCE_NAME,
        "watcher",
        "Somebody watches a task.",
        WatcherResource,
        WATCHER_EXAMPLE,
        "workspace_id",
    ),
    EventContract(
        WATCHER_UPDATED,
        SOURCE_NAME,
        "watcher",
        "Somebody muted a task, or does so no more; told to nobody else.",
        Watching,
        WATCHING_EXAMPLE,
        "workspace_id",
    ),
    EventContract(
        WATCHER_REMOVED,
        SOURCE_NAME,
        "watcher",
        "Somebody watches a task no more.",
        WatcherResource,
        WATCHER_EXAMPLE,
        "workspace_id",
    ),
    *(
        EventContract(name, SOURCE_NAME, "category", text, CategoryOut, CATEGORY_EXAMPLE, "workspace_id")
        for name, text in _CATEGORY_EVENTS.items()
    ),
    *(
        EventContract(name, SOURCE_NAME, "comment", text, CommentResource, _COMMENT | became, "workspace_id")
        for name, (text, became) in _COMMENT_EVENTS.items()
    ),
    *(
        EventContract(
            name, SOURCE_NAME, "checklist_item", text, ChecklistItemOut, CHECKLIST_ITEM_EXAMPLE, "workspace_id"
        )
        for name, text in _CHECKLIST_EVENTS.items()
    ),
    *(
        EventContract(name, SOURCE_NAME, "star", text, StarOut, STAR_EXAMPLE, "workspace_id")
        for name, text in _STAR_EVENTS.items()
    ),
    *(
        EventContract(name, SOURCE_NAME, "task_share", text, TaskShareResource, TASK_SHARE_EXAMPLE, "workspace_id")
        for name, text in _TASK_SHARE_EVENTS.items()
    ),
    *(
        EventContract(name, SOURCE_NAME, "reaction", text, ReactionResource, REACTION_EXAMPLE, "workspace_id")
        for name, text in _REACTION_EVENTS.items()
    ),
    *(
        EventContract(name, SOURCE_NAME, "label", text, LabelOut, LABEL_EXAMPLE, "workspace_id")
        for name, text in _LABEL_EVENTS.items()
    ),
    *(
        EventContract(
            name,
            SOURCE_NAME,
            "personal_label",
            text,
            PersonalLabelResource,
            PERSONAL_LABEL_EXAMPLE,
            "workspace_id",
        )
        for name, text in _PERSONAL_LABEL_EVENTS.items()
    ),
    *(
        EventContract(name, SOURCE_NAME, "filter", text, FilterOut, FILTER_EXAMPLE, "workspace_id")
        for name, text in _FILTER_EVENTS.items()
    ),
    EventContract(
        INVITATION_CREATED,
        SOURCE_NAME,
        "invitation",
        "Somebody was asked into a workspace by mail.",
        InvitationResource,
        INVITATION_RESOURCE_EXAMPLE,
        stream="workspace_id",
    ),
    EventContract(
        INVITATION_UPDATED,
        SOURCE_NAME,
        "invitation",
        "An invitation was changed, mailed again, accepted or declined.",
        InvitationResource,
        {**INVITATION_RESOURCE_EXAMPLE, "version": 2, "state": "accepted"},
        stream="workspace_id",
    ),
    EventContract(
        INVITATION_DELETED,
        SOURCE_NAME,
        "invitation",
        "An invitation was revoked, or went with the account that it was for.",
        InvitationResource,
        {**INVITATION_RESOURCE_EXAMPLE, "version": 2, "state": "revoked"},
        stream="workspace_id",
    ),
    EventContract(
        INVITATION_MAIL_REQUESTED,
        SOURCE_NAME,
        "invitation_mail",
        "A mail is to be sent to an invited address; the token of its link is sealed.",
        InvitationMailResource,
        INVITATION_MAIL_EXAMPLE,
    ),
    *(
        EventContract(name, SOURCE_NAME, "relation", text, RelationResource, RELATION_RESOURCE_EXAMPLE, "workspace_id")
        for name, text in _RELATION_EVENTS.items()
    ),
    *(
        EventContract(
            name, SOURCE_NAME, "task_metadata", text, MetadataResource, METADATA_RESOURCE_EXAMPLE, "workspace_id"
        )
        for name, text in _METADATA_EVENTS.items()
    ),
    *(
        EventContract(name, SOURCE_NAME, "job", text, JobOut, shown, "workspace_id")
        for name, (text, shown) in _JOB_EVENTS.items()
    ),
)
