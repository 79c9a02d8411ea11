"""Pure rules of projects: how deep they nest, and how many there may be."""

from dataclasses import dataclass
from typing import Literal

MAX_DEPTH = 3

Visibility = Literal["workspace", "private"]
BlockerRule = Literal["off", "warn", "block"]


@dataclass(frozen=True, slots=True)
class ProjectLimits:
    """How many there may be: projects in a workspace, members of a project of its own, statuses of a project."""

    projects: int
    members: int
    statuses: int
