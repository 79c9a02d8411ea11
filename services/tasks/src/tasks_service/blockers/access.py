"""How endpoints come by what a caller says of blockers."""

from typing import Annotated

from fastapi import Query

Forcing = Annotated[
    bool,
    Query(description="Complete it though other tasks block it; needs the role `manager`, and is told by the history."),
]
