"""How endpoints come by what a caller says of blockers."""

from typing import Annotated

from chassis.web.flags import Flag
from fastapi import Query

Forcing = Annotated[
    Flag,
    Query(description="Complete it though other tasks block it; needs the role `manager`, and is told by the history."),
]
