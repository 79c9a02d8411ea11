"""What makes somebody watch a task."""

from typing import Literal

Rule = Literal["created", "assigned", "mentioned", "commented"]
Reason = Literal["created", "assigned", "mentioned", "commented", "manual"]
