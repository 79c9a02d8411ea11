"""Pure rules of places: which of them something is looked for in."""

from typing import NamedTuple


class Reach(NamedTuple):
    """Which of the places that a caller sees a list is of; `is_archived` is None for both kinds."""

    in_workspaces: bool = False
    in_projects: bool = False
    is_archived: bool | None = False
