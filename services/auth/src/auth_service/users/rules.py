"""The one spelling of languages and zones, and what a URL is."""

import importlib.resources
from functools import cache
from urllib.parse import urlsplit
from zoneinfo import available_timezones

USER, ADMIN = "user", "admin"
UTC, ETC_UTC = "UTC", "Etc/UTC"
SCRIPT_LENGTH, REGION_LENGTH = 4, 2


def canonical_timezone(name: str) -> str | None:
    """Return today's name of a zone, or None when there is no such zone.

    An old name is replaced by the one that it is an alias of (`US/Eastern` by `America/New_York`). A name that the
    database still lists for a country stays, even where its clocks have long been those of another city.
    """
    if name not in _timezones():
        return None
    listed, links = _zone_names()
    target = name if name in listed else links.get(name, name)
    return UTC if target == ETC_UTC else target


def canonical_locale(tag: str) -> str:
    """Return a language tag in its usual case (RFC 5646, section 2.1.1): `de-DE`, `zh-Hant-TW`."""
    first, *rest = tag.lower().split("-")
    shaped = [first]
    for part in rest:
        after_singleton = len(shaped[-1]) == 1
        if len(part) == REGION_LENGTH and not after_singleton:
            shaped.append(part.upper())
        elif len(part) == SCRIPT_LENGTH and part.isalpha() and not after_singleton:
            shaped.append(part.title())
        else:
            shaped.append(part)
    return "-".join(shaped)


def is_https_url(url: str) -> bool:
    """Tell whether a text is an https URL with a host and without credentials."""
    if not url.isascii() or any(not one.isprintable() or one in ' "<>\\^`{|}' for one in url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


@cache
def _zone_names() -> tuple[frozenset[str], dict[str, str]]:
    """Return the names that the tz database lists for countries, and what each alias stands for."""
    folder = importlib.resources.files("tzdata") / "zoneinfo"
    table = (folder / "zone.tab").read_text(encoding="utf-8").splitlines()
    source = (folder / "tzdata.zi").read_text(encoding="utf-8").splitlines()
    listed = frozenset(line.split("\t")[2] for line in table if line and not line.startswith("#"))
    links = {alias: target for _, target, alias in (line.split() for line in source if line.startswith("L "))}
    return listed, links
