"""What is wrong with a filter as it is written; what is wrong with its meaning is invalid input like any other."""

from collections.abc import Sequence

from chassis.errors import AppError, ErrorDetail, ErrorKind


class InvalidFilter(AppError):
    code = "INVALID_FILTER"
    kind = ErrorKind.UNPARSABLE
    message = "The filter can't be read: `position` or `pointer` says where, and `expected` what may stand there."


class FilterTooComplex(AppError):
    code = "FILTER_TOO_COMPLEX"
    kind = ErrorKind.UNPARSABLE
    message = "The filter is longer, deeper or has more predicates than what is taken."

    def __init__(self, message: str | None = None, *, field: str | None = "filter") -> None:
        super().__init__(message, field=field)


def unreadable(
    expected: Sequence[str],
    *,
    position: int | None = None,
    pointer: str | None = None,
    hint: str | None = None,
    allowed: Sequence[str] | None = None,
) -> InvalidFilter:
    """Return the refusal that tells what was expected at a place."""
    message = f"The filter can't be read: here {_choice(expected)} is expected."
    detail = ErrorDetail(
        InvalidFilter.code,
        message,
        "filter",
        hint=hint,
        allowed=allowed,
        position=position,
        pointer=pointer,
        expected=expected,
    )
    return InvalidFilter(message, details=[detail])


def _choice(things: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(things[:-1]), things[-1])))
