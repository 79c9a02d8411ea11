"""Fields of every type, and somebody who asks: for testing filters without a domain."""

from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.filtering.fields import Field, FieldTable
from chassis.filtering.values import Context

ME = UUID("0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03")
RANKS = ("none", "low", "high")
TABLE = FieldTable(
    (
        Field("id", "id", "", str(ME)),
        Field("owner", "user", "", "me", nullable=True),
        Field("readers", "user", "", "me", several=True, aliases=("reader",)),
        Field("state", "keyword", "", "open", pattern="[a-z_]{1,8}"),
        Field("size", "keyword", "", "low", allowed=RANKS, ranks=RANKS),
        Field("kind", "keyword", "", "big", allowed=("big", "small"), nullable=True),
        Field("title", "text", "", '"milk"', nullable=True),
        Field("pages", "number", "", "5", nullable=True, whole=True),
        Field("weight", "number", "", "5.5", nullable=True),
        Field("is_lost", "boolean", "", "true"),
        Field("bought", "day", "", "today()", nullable=True, aliases=("bought_on",)),
        Field("read_at", "instant", "", "now()", nullable=True),
        Field("back", "due", "", "today()", nullable=True),
    ),
    dynamic=lambda name: Field(name, "scalar", "", "5", nullable=True) if name.startswith("more.") else None,
)
BERLIN = Context(ME, ZoneInfo("Europe/Berlin"), datetime(2026, 11, 26, 23, 30, tzinfo=UTC))
"""Half past midnight in Berlin, and still the day before in UTC."""
