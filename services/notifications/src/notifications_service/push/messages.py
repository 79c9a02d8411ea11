"""What a push says. Without any I/O."""

import base64
import hashlib
from dataclasses import dataclass, field

from notifications_service.deliveries.drivers import Outgoing
from notifications_service.kinds import Kind

TTL_SECONDS = 86_400
TITLE_CHARACTERS = 120
BODY_CHARACTERS = 400
"""So few that a push fits into the 4 kB that all services take, in any script."""
URGENT: frozenset[Kind] = frozenset({"mentioned", "reminder", "overdue", "due_soon"})
PRODUCT = "Taskloom"


@dataclass(frozen=True, slots=True)
class Push:
    """A push as every service takes it: `topic` is what makes a later one replace it where it waits."""

    title: str
    body: str
    data: dict[str, str] = field(default_factory=dict)
    is_urgent: bool = False
    topic: str | None = None


def push_of(message: Outgoing) -> Push:
    """Return what a push of a notification says."""
    notice = message.notice
    name = " ".join(part for part in (notice.key, notice.title) if part)
    told = {
        "kind": notice.kind,
        "notification_id": message.notification_id,
        "workspace_id": notice.workspace_id,
        "project_id": notice.project_id,
        "task_id": notice.task_id,
        "url": notice.link,
    }
    return Push(
        title=_cut(name or PRODUCT, TITLE_CHARACTERS),
        body=_cut(f"{notice.text}: {notice.excerpt}" if notice.excerpt else notice.text, BODY_CHARACTERS),
        data={name: str(value) for name, value in told.items() if value is not None},
        is_urgent=notice.kind in URGENT,
        topic=None if message.collapse_key is None else topic_of(message.collapse_key),
    )


def topic_of(collapse_key: str) -> str:
    """Return a collapse key as 32 characters of base64url, the most that RFC 8030 (section 5.4) takes."""
    return base64.urlsafe_b64encode(hashlib.sha256(collapse_key.encode()).digest()[:24]).decode()


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
