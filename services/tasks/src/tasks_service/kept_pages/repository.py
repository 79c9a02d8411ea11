"""All SQL on whether a page that is kept is still right."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from chassis.db.direct import BINDS_ITSELF, DirectReader
from chassis.identity import Principal
from sqlalchemy import Select, bindparam, func, literal_column, select

from tasks_service.changes.repository import state_of_log
from tasks_service.timezones.repository import ZONE_OF_CALLER
from tasks_service.visibility.repository import IDS, Sight, seen_by, sight_of


class Standing(NamedTuple):
    """Where the logs stand of all that a caller sees, and the name of the zone in their profile."""

    log_at: UUID | None
    zone: str | None


@cache
def standing(sight: Sight) -> Select[Any]:
    """Return the statement of find_standing; that for a whole sight is also in a function, which a test compares."""
    return select(state_of_log(sight).scalar_subquery().label("log_at"), ZONE_OF_CALLER.label("zone"))


async def find_standing(reader: DirectReader, caller: Principal) -> Standing:
    """Return where the logs stand, and what else a page tells of its caller."""
    row = (await reader.execute(standing(sight_of(caller)), seen_by(caller))).one()
    return Standing(row["log_at"], row["zone"])


STANDINGS: Select[Any] = (
    select(literal_column("*"))
    .select_from(func.tasks.standings(bindparam("of_callers", type_=IDS)))
    .execution_options(**{BINDS_ITSELF: True})
)
"""What find_standing asks for callers with a whole sight, in a function that binds it to each of them (migration 0042).

It binds the transaction that it is called in, so that is one of its own.
"""


async def find_standings(reader: DirectReader, callers: Sequence[UUID]) -> Sequence[Standing]:
    """Return what find_standing does, for callers with a whole sight, by their ids."""
    rows = await reader.execute(STANDINGS, {"of_callers": callers})
    found = {row["asked_at"]: Standing(row["log_at"], row["zone"]) for row in rows}
    return [found[place] for place in range(1, len(callers) + 1)]
