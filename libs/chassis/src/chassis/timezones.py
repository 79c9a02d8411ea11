"""Zones by their names in the tz database (RFC 9557 calls them IANA time zone names), and nothing else.

What a system has besides them (`localtime`, `posixrules`, the file that a path leads to) is none.
"""

import importlib.resources
from functools import cache
from zoneinfo import ZoneInfo

from chassis.errors import AppError, ErrorKind
from chassis.text import closest

UTC, ETC_UTC = "UTC", "Etc/UTC"
NOT_SET = "Factory"
"""In the tz database the zone of a clock that nobody has set."""


class UnknownTimezone(AppError):
    code = "UNKNOWN_TIMEZONE"
    kind = ErrorKind.INVALID
    message = "A timezone is an IANA name such as Europe/Berlin."


def canonical_timezone(name: str) -> str | None:
    """Return today's name of a zone, or None when there is no such zone.

    An old name is replaced by the one that it is an alias of (`US/Eastern` by `America/New_York`). A name that the
    database still lists for a country stays, even where its clocks have long been those of another city.
    """
    if name not in timezone_names():
        return None
    listed, links = _listed_and_links()
    target = name if name in listed else links.get(name, name)
    return UTC if target == ETC_UTC else target


def zone_named(name: str) -> ZoneInfo | None:
    """Return a zone by its name or an old one, or None when there is no such zone."""
    known = canonical_timezone(name)
    return None if known is None else ZoneInfo(known)


def closest_timezone(name: str) -> str | None:
    """Return the zone that was probably meant, in whatever case."""
    return closest(name, timezone_names())


@cache
def timezone_names() -> frozenset[str]:
    """Return all names of zones, old ones among them."""
    names = (importlib.resources.files("tzdata") / "zones").read_text(encoding="utf-8").split()
    return frozenset(names) - {NOT_SET}


@cache
def _listed_and_links() -> tuple[frozenset[str], dict[str, str]]:
    """Return the names that the tz database lists for countries, and what each alias stands for."""
    folder = importlib.resources.files("tzdata") / "zoneinfo"
    table = (folder / "zone.tab").read_text(encoding="utf-8").splitlines()
    source = (folder / "tzdata.zi").read_text(encoding="utf-8").splitlines()
    listed = frozenset(line.split("\t")[2] for line in table if line and not line.startswith("#"))
    links = {alias: target for _, target, alias in (line.split() for line in source if line.startswith("L "))}
    return listed, links
