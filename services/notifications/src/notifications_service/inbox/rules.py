"""How a notification is said in a sentence, and what of an event it keeps."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

State = Literal["unread", "read", "all"]
SOMEBODY = "Somebody"
TASKLOOM = "Taskloom"
SOMETHING = "a task"
LONGEST = 200
"""Texts in what a notification tells of changes are cut after so many characters."""
MOST_CHANGES = 20

TEXTS: Mapping[str, str] = {
    "mentioned": "{who} mentioned you in {task}",
    "assigned": "{who} assigned {task} to you",
    "replied": "{who} replied to your comment on {task}",
    "commented": "{who} commented on {task}",
    "unassigned": "{who} took {task} from you",
    "reminder": "Reminder: {task}",
    "overdue": "{task} is overdue",
    "due_soon": "{task} is due soon",
    "completed": "{who} completed {task}",
    "reopened": "{who} reopened {task}",
    "status_changed": "{who} changed the status of {task}",
    "due_changed": "{who} changed when {task} is due",
    "updated": "{who} changed {task}",
    "deleted": "{who} deleted {task}",
    "reacted": "{who} reacted {emoji} to your comment on {task}",
    "shared": "{who} shared {task} with you",
    "added_to_project": "{who} added you to {project}",
    "added_to_workspace": "{who} added you to {workspace}",
    "role_changed": "{who} made you {role} of {place}",
    "job_finished": "Your {job} {ended}",
    "webhook_disabled": "Your webhook {name} was turned off: {reason}",
    "channel_disabled": "{channel} was turned off: {reason}",
}
WEBHOOKS = {"gone": "its receiver is gone (410)", "failing": "nothing has been accepted for five days"}
OF_EVENTS: Mapping[str, str] = {
    "attachment.created": "{who} added a file to {task}",
    "assignee.updated": "{who} answered as an assignee of {task}",
    "task.moved": "{who} moved {task}",
    "task.restored": "{who} took {task} out of the trash",
}
"""What is `updated` in a way of its own."""
JOBS = {"bulk": "bulk change", "bulk_by_filter": "bulk change", "export": "export", "import": "import"}
SAID = ("role", "emoji", "job", "ended", "reason", "channel", "name")
"""Names of what a sentence needs beside who, and where."""
FIRST_LETTER = 1


def text_of(kind: str, event_type: str, details: Mapping[str, Any], names: Mapping[str, str | None]) -> str:
    """Return a notification as a sentence; `names` are those of who did it, and of where that was, as they are now."""
    workspace = names.get("workspace") or "a workspace"
    project = names.get("project") or "a project"
    task = names.get("task") or SOMETHING
    place = {"task": task, "project": project}.get(str(details.get("place")), workspace)
    said = {name: str(details.get(name) or "") for name in SAID}
    who = names.get("who") or SOMEBODY
    text = OF_EVENTS.get(event_type, TEXTS[kind]) if kind == "updated" else TEXTS.get(kind, TEXTS["updated"])
    text = text.format(who=who, task=task, project=project, workspace=workspace, place=place, **said)
    return text[:FIRST_LETTER].upper() + text[FIRST_LETTER:]


def called(key: str | None, title: str | None) -> str | None:
    """Return what a task is called in a sentence."""
    return " ".join(one for one in (key, title) if one) or None


def details_of(event_type: str, data: Mapping[str, Any], changes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a notification keeps of its event: the changes, and what its sentence needs beside them."""
    noun = event_type.partition(".")[0]
    details: dict[str, Any] = {"changes": [] if noun == "comment" else shortened(changes)}
    match noun:
        case "reaction":
            details["emoji"] = data.get("emoji")
        case "member" | "project_member" | "task_share":
            places = {"member": "workspace", "project_member": "project", "task_share": "task"}
            details |= {"role": data.get("role"), "place": places[noun]}
        case "webhook":
            details |= {"name": data.get("name"), "reason": WEBHOOKS.get(str(data.get("disabled_reason")), "")}
        case "job":
            ended = "has failed" if data.get("status") == "failed" else "is done"
            details |= {"job": JOBS.get(str(data.get("kind")), "job"), "ended": ended}
    return details


def shortened(changes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return changes with long texts cut, and of very many only the first."""
    return [
        {"field": one["field"], "old": _short(one.get("old")), "new": _short(one.get("new"))}
        for one in changes[:MOST_CHANGES]
    ]


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[: LONGEST - 1]}…"
    if isinstance(value, list | dict) and len(str(value)) > 4 * LONGEST:
        return None
    return value


def comment_of(event_type: str, subject: UUID, data: Mapping[str, Any]) -> UUID | None:
    """Return the comment that an event is about."""
    if event_type.startswith("comment."):
        return subject
    found = data.get("comment_id") if event_type.startswith("reaction.") else None
    return None if found is None else UUID(str(found))
