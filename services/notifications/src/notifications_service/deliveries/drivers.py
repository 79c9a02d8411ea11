"""What a channel does: it takes one message and sends it, and says what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a message is for; `address` is None unless it is verified."""

    user_id: UUID
    name: str
    address: str | None = None
    locale: str | None = None
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that a message tells of. `key` and `title` are the task's, `link` is where the API has it."""

    id: UUID
    kind: str
    text: str
    created_at: datetime
    workspace_id: UUID | None = None
    project_id: UUID | None = None
    task_id: UUID | None = None
    key: str | None = None
    title: str | None = None
    excerpt: str | None = None
    actor: str | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message: of one notification or event, or of a digest, which has several notices.

    `rest` is how many more a digest would have had.
    `target` is the row of what it is sent to, where a channel has such: a device, or a connection to a chat.
    `previous` is what the service called the last message of the same collapse key, where that is so young that it
    is to be changed rather than followed by another.
    """

    delivery_id: UUID
    channel: str
    attempts: int
    notification_id: UUID | None
    digest_id: UUID | None
    notices: Sequence[Notice]
    person: Person
    target: Mapping[str, Any] = field(default_factory=dict)
    collapse_key: str | None = None
    previous: str | None = None
    rest: int = 0

    @property
    def notice(self) -> Notice:
        """The only notice, or the first one of a digest."""
        return self.notices[0]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message was taken; `provider_id` is what the service calls it, if it says so."""

    provider_id: str | None = None


class Undelivered(Exception):
    """A message was not taken; `reason` is short, and has no address and no secret in it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Postpone(Undelivered):
    """It may be taken later. `after` is how long the service asked to be left alone, for all of this target."""

    def __init__(self, reason: str, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Refused(Undelivered):
    """It will never be taken."""


class TargetGone(Undelivered):
    """Nothing will be taken there any more."""


class Driver(Protocol):
    """A channel's way out."""

    def render(self, message: Outgoing) -> Mapping[str, Any]:
        """Return what would be sent, without secrets, for people who develop."""

    async def send(self, message: Outgoing) -> Sent:
        """Send a message; no transaction is open. Raises Postpone, Refused or TargetGone."""

    async def drop_target(self, session: AsyncSession, message: Outgoing, reason: str) -> None:
        """Give up a target that is gone, in the transaction that notes it."""
