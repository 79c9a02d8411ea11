"""What tasks can be filtered by, and how that is shown: each field with an example that says most about it."""

import re
from dataclasses import replace
from typing import Any, get_args

from chassis.filtering.documents import document_of
from chassis.filtering.fields import Field, FieldTable
from chassis.filtering.text import parse_text
from chassis.filtering.tree import OF_LISTS, Operator

from tasks_service.tasks.rules import KEY_PATTERN, Priority, StatusCategory

AN_ID = "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"
PRIORITIES = get_args(Priority)
STATUS_PATTERN = r"[a-z0-9_]{1,16}"
COMPLETION_PATTERN = r"any|all|quorum:([1-9]|1[0-9]|20)"
METADATA_NAME = re.compile(r"meta\.[a-z0-9][a-z0-9._-]*\.[^\x00\ud800-\udfff]+")
LONGEST_METADATA_NAME = 300
MOST_SEGMENTS = 24
"""Of the namespace, which may have dots, and the path together."""


def _metadata(name: str) -> Field | None:
    """Return the field of a value that apps keep with tasks, `meta.<namespace>.<path>`."""
    parts = name.split(".")
    if len(name) > LONGEST_METADATA_NAME or len(parts) > MOST_SEGMENTS or not all(parts):
        return None
    if METADATA_NAME.fullmatch(name) is None:
        return None
    return replace(METADATA, name=name)


METADATA = Field(
    "meta.<namespace>.<path>",
    "scalar",
    "What an app keeps with the task, at a path in its namespace, as far as yours may read it.",
    "x",
    nullable=True,
)
"""How the fields are shown of which there is no end."""
FIELDS = FieldTable(
    (
        Field("id", "id", "The task.", AN_ID),
        Field("key", "keyword", "The task's key, in any case.", "INBOX-12", pattern=KEY_PATTERN, any_case=True),
        Field("workspace_id", "id", "The workspace that it is in.", AN_ID),
        Field("project_id", "id", "The project that it is in.", AN_ID),
        Field("title", "text", "Its title.", '"buy milk"'),
        Field("description", "text", "Its description, as Markdown.", "milk", nullable=True),
        Field("status", "keyword", "The key of its status in its project.", "todo", pattern=STATUS_PATTERN),
        Field(
            "status_category",
            "keyword",
            "What its status means, in every project.",
            "in_progress",
            allowed=get_args(StatusCategory),
        ),
        Field("priority", "keyword", "Its priority.", "high", allowed=PRIORITIES, ranks=PRIORITIES),
        Field("category_id", "id", "Its category.", AN_ID, nullable=True),
        Field("labels", "id", "The labels on it.", AN_ID, several=True, aliases=("label",)),
        Field("parent_id", "id", "The task that it is a subtask of.", AN_ID, nullable=True),
        Field("assignees", "user", "Who is to do it.", "me", several=True, aliases=("assignee",)),
        Field("assigned_to", "user", "The primary one of its assignees.", "me", nullable=True),
        Field("created_by", "user", "Who made it.", "me"),
        Field("completed_by", "user", "Who completed it.", "me", nullable=True),
        Field("watchers", "user", "Who watches it.", "me", several=True, aliases=("watcher",)),
        Field("is_starred", "boolean", "Whether you have given it a star.", "true"),
        Field("completion_policy", "keyword", "Whose work completes it.", "quorum:2", pattern=COMPLETION_PATTERN),
        Field("start", "day", "The day on which work on it begins.", "today()", True, aliases=("start_date",)),
        Field("due", "due", "When it is due.", "today()+7d", nullable=True, aliases=("due_at", "due_date")),
        Field("deadline", "day", "The last day that is acceptable.", "end_of_month()", nullable=True),
        Field("estimate_minutes", "number", "How long it takes.", "90", nullable=True, whole=True),
        Field("completed_at", "instant", "When it was completed.", "now()-24h", nullable=True),
        Field("created_at", "instant", "When it was made.", "2026-12-01T09:00:00Z"),
        Field("updated_at", "instant", "When it was last changed.", "start_of_week()"),
        Field("external_source", "text", "The system that it comes from.", "github", nullable=True),
        Field("external_id", "text", "Its id in that system.", '"1234"', nullable=True),
        Field("is_archived", "boolean", "Whether its project is archived.", "false"),
    ),
    dynamic=_metadata,
)
ENDLESS = "meta.app.path"
"""One of the fields of which there is no end."""


def example_operator(field: Field) -> Operator:
    """Return the operator that is shown with a field."""
    if field.several:
        return "has_any"
    if field.type == "text":
        return "contains"
    if field.type in ("day", "instant", "due"):
        return "<"
    return ">=" if field.ranks else "="


def example_text(field: Field) -> str:
    """Return a filter by a field, as text."""
    operator = example_operator(field)
    name = ENDLESS if field is METADATA else field.name
    value = f"({field.example})" if operator in OF_LISTS else field.example
    return f"{name} {operator} {value}"


def example_json(field: Field) -> dict[str, Any]:
    """Return the same filter as JSON."""
    return document_of(parse_text(example_text(field)), FIELDS)
