"""Conditional writes (RFC 9110, section 13.1.1): the version that a change was made for."""

import re
from typing import Annotated

from fastapi import Depends, Header

from chassis.errors import IfMatchRequired, MalformedRequest

ETAG = re.compile(r'"(0|[1-9][0-9]*)"')
MAX_VERSION = 2**31 - 1
MAX_DIGITS = len(str(MAX_VERSION))


class IfMatchMalformed(MalformedRequest):
    code = "IF_MATCH_MALFORMED"
    message = 'If-Match takes one entity tag, the ETag of the resource, such as "7".'


IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description='The ETag that the change was made for, such as `"7"`; stale ones get 412. `*` is for any.',
    ),
]


async def expected_version(
    if_match: IfMatch = None,
) -> int | None:
    """Return the version in If-Match; None without the header or for `*`. Raises IfMatchMalformed."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = ETAG.fullmatch(if_match.strip())
    if found is None:
        raise IfMatchMalformed(field="If-Match")
    digits = found[1]
    # What is larger is of no state that there was, and no integer of the database.
    return min(int(digits), MAX_VERSION) if len(digits) <= MAX_DIGITS else MAX_VERSION


ExpectedVersion = Annotated[int | None, Depends(expected_version)]
"""The version that the caller's change is for, or None when it is for whatever is there."""


async def required_version(version: ExpectedVersion, if_match: IfMatch = None) -> int | None:
    """Return the version in If-Match; None for `*`. Raises IfMatchRequired without the header (RFC 6585, section 3)."""
    if if_match is None:
        raise IfMatchRequired
    return version


RequiredVersion = Annotated[int | None, Depends(required_version)]
"""The same where a change replaces what others may have changed, so that the header has to be there (R33)."""


async def wants_minimal(
    prefer: Annotated[
        str | None, Header(alias="Prefer", description="`return=minimal` for an answer without a body.")
    ] = None,
) -> bool:
    """Tell whether the caller asked for no representation (RFC 7240)."""
    return prefer is not None and "return=minimal" in prefer.replace(" ", "").lower().split(",")


WantsMinimal = Annotated[bool, Depends(wants_minimal)]
