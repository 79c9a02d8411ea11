"""Pure rules of counting: what tasks are counted by."""

from typing import Literal, get_args

Dimension = Literal[
    "status",
    "status_category",
    "priority",
    "project",
    "workspace",
    "category",
    "assignee",
    "assigned_to",
    "label",
    "created_by",
    "due_day",
    "completed_day",
    "created_day",
]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
OF_SETS: frozenset[Dimension] = frozenset({"assignee", "label"})
"""What a task may have several of: it counts once in the group of each."""
OF_DAYS: frozenset[Dimension] = frozenset({"due_day", "completed_day", "created_day"})
IN_INDEX: frozenset[Dimension] = frozenset(
    {"status", "status_category", "priority", "project", "workspace", "assigned_to"}
)
"""What an index of tasks has: counting by these alone looks at no task."""
QUICKER = 10
"""How many entries of an index are looked at in the time of a task."""
MAX_TOGETHER = 2
MAX_FACETS = 6
MAX_GROUPS = 1_000
SAMPLE = 50_000
"""How many of the newest tasks counts are estimated from."""
