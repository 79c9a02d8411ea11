"""Topic patterns as AMQP 0-9-1 defines them, for guards; the transports' tests hold it to what brokers do."""


def matches(pattern: str, event_type: str) -> bool:
    """Tell whether a topic pattern covers a type."""
    return _match(pattern.split("."), event_type.split("."))


def _match(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_match(pattern[1:], words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _match(pattern[1:], words[1:])
