"""Text of others, made fit to be shown."""

MAX_SHOWN = 200


def printable(text: str) -> str:
    """Drop surrogates and control characters and cut to 200 characters."""
    return "".join(c for c in text if c.isprintable() and not "\ud800" <= c <= "\udfff")[:MAX_SHOWN]
