"""How endpoints come by where the logs stand."""

from uuid import UUID

from chassis.db.direct import reading_directly
from chassis.db.engine import Database
from chassis.db.reading_together import ReadTogether
from chassis.identity import Principal
from chassis.web.database import bound_of
from fastapi import Request

from tasks_service.kept_pages import repository
from tasks_service.kept_pages.repository import Standing
from tasks_service.visibility.repository import WHOLE, sight_of

StandingsTogether = ReadTogether[UUID, Standing]


def standings_together(database: Database) -> StandingsTogether:
    """Return what tells callers who see all that they may where their logs stand, those of a moment in one go."""
    return ReadTogether(database, repository.find_standings)


async def standing_of(request: Request, caller: Principal) -> Standing:
    """Look where the logs stand of all that the caller sees, past SQLAlchemy's execution."""
    state = request.app.state
    if sight_of(caller) == WHOLE:
        together: StandingsTogether = state.standings_together
        return await together.ask(caller.user_id)
    async with reading_directly(state.database, bound_of(request)) as reader:
        return await repository.find_standing(reader, caller)
