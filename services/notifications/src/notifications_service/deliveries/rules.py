"""When a delivery is tried again, and which ones become one."""

from datetime import timedelta

from notifications_service.sending.schedules import A_DAY, TWO_HOURS, Schedule

NEW, SENT, FAILED, SKIPPED = "new", "sent", "failed", "skipped"

CHANNELS = ("email", "chat", "push")
WITH_TARGETS = frozenset({"chat", "push"})
SCHEDULES: dict[str, Schedule] = {"email": A_DAY, "chat": TWO_HOURS, "push": TWO_HOURS}

LEASE = timedelta(seconds=60)
"""How long a claimed delivery is its claimer's: longer than sending takes at most, with the note of how it went."""

SPACING = timedelta(seconds=60)
"""How far apart messages of one collapse key are where a sent one can't be changed."""

LONGEST_PAUSE = timedelta(hours=24)
"""What a service may ask for with Retry-After."""

KEPT = timedelta(days=90)
TOO_LATE = timedelta(days=7)
"""So long after its time nobody is told any more, such as by a channel that was not set up until then."""

EXPIRED = "expired"
REPLACED = "replaced"
READ = "read"
NOT_VISIBLE = "not_visible"
INACTIVE = "inactive"
TARGET_GONE = "target_gone"


def delay_after(channel: str, attempts: int, *, chance: float) -> timedelta | None:
    """Return how long to wait after so many failures, None when it is time to give up; see Schedule.after."""
    return SCHEDULES.get(channel, TWO_HOURS).after(attempts, chance=chance)
