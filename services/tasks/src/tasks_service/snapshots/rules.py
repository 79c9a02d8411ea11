"""What a snapshot is made of, and in which order."""

from typing import Literal, get_args

Kind = Literal["workspace", "member", "project", "status", "category", "label", "task", "comment"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order in which they come: what others refer to is first."""
USUAL: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "comment")
IN_PROJECTS = frozenset[Kind]({"project", "status", "task", "comment"})
"""What there is of a project."""
MAX_ITEMS = 500
