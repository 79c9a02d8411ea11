"""How rows become lines, which say nothing that is not there."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tasks_service.data_tables.rules import COLUMNS, as_list, due_text
from tasks_service.dues.rules import DUE_COLUMNS
from tasks_service.history.rules import silenced
from tasks_service.history.schemas import AuditEntry
from tasks_service.tasks.repository import task

Row = Mapping[str, Any]
Rows = Sequence[Row]

OF_A_PROJECT = (
    "id",
    "name",
    "description",
    "parent_id",
    "prefix",
    "next_number",
    "is_inbox",
    "visibility",
    "member_role",
    "enforce_blockers",
    "archived_at",
    "created_by",
    "created_at",
    "updated_at",
)
OF_A_STATUS = ("key", "name", "category", "position", "created_at", "updated_at")
OF_A_NAME = ("id", "name", "color", "created_by", "created_at", "updated_at")
OF_A_TASK = (
    "id",
    "key",
    "project_id",
    "number",
    "title",
    "description",
    "status",
    "priority",
    "category_id",
    "parent_id",
    "completion_policy",
    "reopen_on_assign",
    "deadline",
    "estimate_minutes",
    "completed_at",
    "completed_by",
    "position",
    "external_source",
    "external_id",
    "custom",
    "created_by",
    "created_at",
    "updated_at",
)
OF_DETAILS: Mapping[str, Sequence[str]] = {
    "checklist_item": (
        "id",
        "task_id",
        "text",
        "done",
        "done_at",
        "done_by",
        "assignee_id",
        "due_date",
        "position",
        "created_by",
        "created_at",
        "updated_at",
    ),
    "relation": ("id", "type", "from_task_id", "to_task_id", "created_by", "created_at"),
    "comment": (
        "id",
        "task_id",
        "parent_id",
        "author_id",
        "body",
        "mentions",
        "created_at",
        "edited_at",
        "deleted_at",
        "deleted_by",
    ),
    "reaction": ("comment_id", "user_id", "emoji", "created_at"),
    "watcher": ("task_id", "user_id", "reason", "is_watching", "is_muted", "created_at"),
    "star": ("task_id", "user_id", "created_at"),
    "personal_label": ("task_id", "label_id", "user_id"),
    "task_metadata": ("task_id", "namespace", "owner_id", "shared", "value", "updated_at"),
    "attachment": ("id", "task_id", "name"),
}


def said(kind: str, row: Row, names: Sequence[str], **more: Any) -> dict[str, Any]:
    """Return a line of what a row has."""
    given = {name: row[name] for name in names} | more
    return {"kind": kind, **{name: value for name, value in given.items() if value is not None}}


def _parts(rows: Rows, names: Sequence[str]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in names if row[name] is not None} for row in rows]


def project_lines(rows: Rows, found: Sequence[Rows]) -> list[dict[str, Any]]:
    """Return the lines of projects, with statuses, members and prefixes of all of them."""
    statuses, members, prefixes = (_by(one, "project_id") for one in found)
    return [
        said(
            "project",
            row,
            OF_A_PROJECT,
            statuses=_parts(statuses(row["id"]), OF_A_STATUS),
            members=_parts(members(row["id"]), ("user_id", "role", "created_at")),
            former_prefixes=[one["prefix"] for one in prefixes(row["id"]) if one["prefix"] != row["prefix"]] or None,
        )
        for row in rows
    ]


def named_line(kind: str, row: Row) -> dict[str, Any]:
    """Return the line of a category or a label."""
    return said(kind, row, OF_A_NAME, personal=row["owner_id"] is not None)


def task_lines(rows: Rows, found: Sequence[Rows]) -> list[dict[str, Any]]:
    """Return the lines of tasks, with assignees, shares and former keys of all of them."""
    assignees, shares, aliases = (_by(one, "task_id") for one in found)

    def answers(row: Row) -> list[dict[str, Any]]:
        answered = {one["user_id"]: one for one in assignees(row["id"])}
        in_order = [answered[one] for one in row["assignees"] if one in answered]
        return _parts(in_order, ("user_id", "state", "assigned_by", "assigned_at"))

    return [
        said(
            "task",
            row,
            OF_A_TASK,
            start=row["start_date"],
            due=_due(row),
            labels=row["labels"],
            assignees=answers(row),
            shares=_parts(shares(row["id"]), ("user_id", "role", "shared_by", "created_at")) or None,
            former_keys=[one["key"] for one in aliases(row["id"])] or None,
        )
        for row in rows
    ]


def _due(row: Row) -> dict[str, Any] | None:
    kind = row["due_kind"]
    if kind == "date":
        return {"date": row["due_date"]}
    if kind == "at":
        return {"at": row["due_at"], "timezone": row["due_timezone"]}
    return None if kind is None else {"local": row["due_local"].isoformat(timespec="seconds")}


def detail_line(kind: str, row: Row, user_id: UUID) -> dict[str, Any]:
    """Return the line of what hangs on a task; what concerns somebody else alone is not told."""
    line = said(kind, row, OF_DETAILS[kind])
    if kind == "watcher" and row["user_id"] != user_id:
        line |= {"is_muted": False}
    return line


def change_line(entry: AuditEntry, *, with_words: bool) -> dict[str, Any]:
    """Return the line of a change; what comments say is told only where comments are."""
    line = {"kind": "change", **entry.model_dump(mode="json")}
    if entry.entity_type == "comment" and not with_words:
        line["changes"] = silenced(line["changes"])
    return line


def _by(rows: Rows, name: str) -> Callable[[UUID], list[Row]]:
    found: dict[UUID, list[Row]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return lambda key: found.get(key, [])


def cells_of(
    row: Row, *, labels: Mapping[UUID, str], categories: Mapping[UUID, str], keys: Mapping[UUID, str]
) -> list[str]:
    """Return a task as the cells of a row, in the order of COLUMNS."""
    told = {
        **{name: row[name] for name in COLUMNS if name in task.c},
        "key": row["key"],
        "project": row["project_name"],
        "category": categories.get(row["category_id"]),
        "labels": as_list(sorted(labels[one] for one in row["labels"] if one in labels)),
        "parent": keys.get(row["parent_id"]),
        "assignees": as_list([str(one) for one in row["assignees"]]),
        "start": row["start_date"],
        "due": due_text({name: row[name] for name in DUE_COLUMNS}),
    }
    return [_text(told[name]) for name in COLUMNS]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)
