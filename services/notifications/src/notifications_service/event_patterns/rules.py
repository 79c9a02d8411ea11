"""What one asks for events by: a name such as `task.updated`, all of a kind such as `task.*`, or `*` for all."""

from collections.abc import Collection, Iterable, Sequence

from chassis.errors import ErrorDetail
from chassis.text import closest, hint_at

from notifications_service.event_patterns.errors import UnknownEvent

EVERYTHING = "*"


def patterns_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return all that can be asked for where these are the events."""
    return (EVERYTHING, *sorted({_kind_of(name) for name in names}), *names)


def is_among(patterns: Collection[str], name: str) -> bool:
    """Tell whether an event is among what was asked for."""
    return any(one in patterns for one in (EVERYTHING, name, _kind_of(name)))


def refuse_unknown(given: Iterable[str], known: Sequence[str]) -> None:
    """Raise UnknownEvent for patterns that no event fits, each with the closest that there is."""
    details = [
        ErrorDetail(UnknownEvent.code, UnknownEvent.message, f"events.{index}", hint=hint_at(closest(one, known)))
        for index, one in enumerate(given)
        if one not in known
    ]
    if details:
        raise UnknownEvent(details=details)


def _kind_of(name: str) -> str:
    return f"{name.partition('.')[0]}.*"
