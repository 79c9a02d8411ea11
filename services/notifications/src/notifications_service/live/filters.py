"""What tasks in events can be filtered by, and judging them by a filter.

    judge = parse({"field": "priority", "op": ">=", "value": "high"}, user_id=caller.user_id, zone=ZoneInfo("UTC"))
    judge(frame["data"])

`parse` takes text or the tree as JSON. The task is what a task event has as its `data`, or a card of it. Equal filters
are one judge, so that what many ask of one task may be asked once.
"""

from functools import lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from chassis.filtering.documents import parse_filter
from chassis.filtering.fields import Field, FieldTable
from chassis.filtering.judging import Judge, asks_for_me
from chassis.filtering.written import Written

AN_ID = "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"
PRIORITIES = ("none", "low", "medium", "high", "urgent")
CATEGORIES = ("backlog", "todo", "in_progress", "done", "cancelled")
NOBODY = UUID(int=0)
KEPT = 4096

TASK_FIELDS = FieldTable(
    (
        Field("id", "id", "The task.", AN_ID),
        Field("key", "keyword", "Its key.", "A-1", pattern="[A-Za-z][A-Za-z0-9]{0,9}-[1-9][0-9]{0,8}", any_case=True),
        Field("workspace_id", "id", "The workspace that it is in.", AN_ID),
        Field("project_id", "id", "The project that it is in.", AN_ID),
        Field("title", "text", "Its title.", '"buy milk"'),
        Field("description", "text", "Its description, as Markdown.", "milk", nullable=True),
        Field("status", "keyword", "The key of its status in its project.", "todo", pattern="[a-z0-9_]{1,16}"),
        Field("status_category", "keyword", "What its status means.", "todo", allowed=CATEGORIES),
        Field("priority", "keyword", "Its priority.", "high", allowed=PRIORITIES, ranks=PRIORITIES),
        Field("category_id", "id", "Its category.", AN_ID, nullable=True),
        Field("labels", "id", "The shared labels on it.", AN_ID, several=True, aliases=("label",)),
        Field("parent_id", "id", "The task that it is a subtask of.", AN_ID, nullable=True),
        Field("assignees", "user", "Who is to do it.", "me", several=True, aliases=("assignee",)),
        Field("assigned_to", "user", "The primary one of its assignees.", "me", nullable=True),
        Field("created_by", "user", "Who made it.", "me"),
        Field("completed_by", "user", "Who completed it.", "me", nullable=True),
        Field(
            "completion_policy",
            "keyword",
            "Whose work completes it.",
            "any",
            pattern="any|all|quorum:([1-9]|1[0-9]|20)",
        ),
        Field("start", "day", "The day on which work on it begins.", "today()", True, aliases=("start_date",)),
        Field("due", "due", "When it is due.", "today()+7d", nullable=True, aliases=("due_at", "due_date")),
        Field("deadline", "day", "The last day that is acceptable.", "end_of_month()", nullable=True),
        Field("estimate_minutes", "number", "How long it takes.", "90", nullable=True, whole=True),
        Field("completed_at", "instant", "When it was completed.", "now()-24h", nullable=True),
        Field("created_at", "instant", "When it was made.", "2026-12-01T09:00:00Z"),
        Field("updated_at", "instant", "When it was last changed.", "start_of_week()"),
        Field("external_source", "text", "The system that it comes from.", "github", nullable=True),
        Field("external_id", "text", "Its id in that system.", '"1234"', nullable=True),
    )
)
"""Fields of the tasks service's table of which events tell; a contract test holds them against its schema.

Not among them: whom a task is starred or watched by, what apps keep with it, and whether its project is archived.
"""


def parse(filter_: object, *, user_id: UUID, zone: ZoneInfo) -> Judge:
    """Return the judge of a filter. Raises InvalidFilter, FilterTooComplex, and InvalidInput with all that is wrong."""
    written = parse_filter(filter_)
    text = filter_ if isinstance(filter_, str) else orjson.dumps(filter_).decode()
    return _judge(text, written, user_id if asks_for_me(written, TASK_FIELDS) else NOBODY, zone)


@lru_cache(KEPT)
def _judge(_text: str, written: Written, user_id: UUID, zone: ZoneInfo) -> Judge:
    return Judge(written, TASK_FIELDS, user_id=user_id, zone=zone)
