"""The one source of the current time, so that every instant in the system is an aware UTC one."""

from datetime import UTC, datetime


def utcnow() -> datetime:
    """Return the current instant as an aware datetime in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the function that the rule points to


def rfc3339(instant: datetime) -> str:
    """Render an aware instant in UTC with `Z`, in microseconds (RFC 3339, section 5.6)."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
