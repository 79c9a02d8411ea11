"""The one spelling of languages, and what a URL is."""

from urllib.parse import urlsplit

USER, ADMIN = "user", "admin"
SCRIPT_LENGTH, REGION_LENGTH = 4, 2


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
