"""Statuses that a table names by a key or a name, with what they mean."""

import re
from collections.abc import Mapping, Sequence

from sqlalchemy import RowMapping

from tasks_service.data_lines.schemas import StatusPart
from tasks_service.ordering.rules import rank_between
from tasks_service.statuses.rules import key_of
from tasks_service.tasks.rules import StatusCategory

KEY = re.compile(r"[a-z0-9_]{1,16}")
MAX_NAME = 100


def new_statuses(
    there: Sequence[RowMapping], given: Mapping[str, StatusCategory], *, most: int
) -> dict[str, StatusPart]:
    """Return statuses to be made after those that are there, by what a table calls them; `given` are categories."""
    taken = {row["key"] for row in there}
    called = taken | {row["name"].casefold() for row in there}
    last = max((row["position"] for row in there), default=None)
    made: dict[str, StatusPart] = {}
    for name, category in given.items():
        if name.casefold() in called or len(name) > MAX_NAME or len(taken) >= most:
            continue
        is_key = KEY.fullmatch(name) is not None
        key = name if is_key else key_of(name, taken)
        last = rank_between(last, None)
        shown = name.replace("_", " ").strip().capitalize() or name if is_key else name
        made[name] = StatusPart(key=key, name=shown, category=category, position=last)
        taken.add(key)
        called |= {key, name.casefold(), shown.casefold()}
    return made
