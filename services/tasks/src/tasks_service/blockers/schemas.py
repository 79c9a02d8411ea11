"""What is found in the way of a completion."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FORCED = "forced past blockers"


@dataclass(frozen=True, slots=True)
class Passage:
    """How a completion passed: with warnings, and with the reason that goes into its history when it was forced."""

    warnings: Sequence[dict[str, Any]] = ()
    reason: str | None = None


FREE = Passage()
