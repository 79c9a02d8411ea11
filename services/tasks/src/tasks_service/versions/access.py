"""How endpoints come by what a caller says of the state that its change is for."""

from typing import Annotated, Literal

from chassis.web.preconditions import ExpectedVersion, IfMatch, RequiredVersion
from fastapi import Depends, Query

from tasks_service.versions.schemas import Expectation


async def expectation(version: ExpectedVersion, if_match: IfMatch = None) -> Expectation:
    """Return what If-Match says. Raises IfMatchMalformed."""
    return Expectation(version, is_given=if_match is not None)


async def mergeable_expectation(
    version: ExpectedVersion,
    if_match: IfMatch = None,
    merge: Annotated[
        Literal["fields"] | None,
        Query(description="`fields`: a stale If-Match is no conflict unless the fields that you send were changed."),
    ] = None,
) -> Expectation:
    """Return what If-Match says, and whether changes of other fields matter. Raises IfMatchMalformed."""
    return Expectation(version, is_given=if_match is not None, merges=merge is not None)


async def required_expectation(version: RequiredVersion) -> Expectation:
    """Return what If-Match says, where it has to be there. Raises IfMatchRequired, IfMatchMalformed."""
    return Expectation(version, is_given=True)


Expecting = Annotated[Expectation, Depends(expectation)]
ExpectingFields = Annotated[Expectation, Depends(mergeable_expectation)]
ExpectingAlways = Annotated[Expectation, Depends(required_expectation)]
