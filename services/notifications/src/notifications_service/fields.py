"""Fields that several resources have."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("INVALID_FORMAT", "This is one line of text, without control characters.")
    return text


Label = Annotated[
    str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True), AfterValidator(_printable)
]
"""By which people know something of theirs."""
Url = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
