"""The event transport as the rest of the system sees it; RabbitMQ and Redis streams stand behind it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class PublishFailed(Exception):
    """The transport did not confirm that it has the message; whether it has it is unknown."""


AFTER_A_FAILURE = "not sent, since one before it in its stream failed"


class BrokerUnavailable(Exception):
    """The broker can't be reached; nothing is known of what was sent last."""


class Unroutable(PublishFailed):
    """No queue is bound for messages of this type yet."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue: one per consumer, bound to event types by topic patterns (`*` one word, `#` any).

    Messages of one key are handled one after the other, unless its consumer takes them in whatever order: then it is
    not `ordered`.
    """

    name: str
    patterns: tuple[str, ...]
    ordered: bool = True


@dataclass(frozen=True, slots=True)
class Message:
    """One message. Messages of one `key` are delivered in order; `attempt` counts deliveries and retries from 1.

    A `mandatory` message that no queue is bound for is a failure: its consumer has not declared itself yet. Any
    other one may go to nobody.
    """

    id: str
    type: str
    key: str
    body: bytes
    attempt: int = 1
    mandatory: bool = True


class Retry(Exception):
    """Raised by a handler: deliver again later, and to the dead letters when that was tried often enough."""


class Reject(Exception):
    """Raised by a handler: this message can never be handled; to the dead letters at once, with this reason."""


Handler = Callable[[Message], Awaitable[None]]
Outcome = Retry | Reject | None
"""What is to become of a message: with None it is done with."""
BatchHandler = Callable[[Sequence[Message]], Awaitable[Sequence[Outcome]]]
"""Handles messages together; returns what is to become of each, in their order, and raises nothing."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delays between the attempts, in seconds; after the last one a message is dead."""

    delays: Sequence[float] = field(default=(5.0, 30.0, 300.0, 1800.0))

    def delay_after(self, attempt: int) -> float | None:
        """Return how long to wait after the given attempt (from 1), or None when it was the last."""
        return self.delays[attempt - 1] if attempt <= len(self.delays) else None


class EventTransport(Protocol):
    """What every adapter does. All of it survives the broker's absence by trying again."""

    async def declare(self, queue: Queue) -> None:
        """Make the queue with its retry and dead-letter parts, or confirm that it is there."""

    async def publish(self, messages: Sequence[Message]) -> list[PublishFailed | None]:
        """Hand over messages; for each, None says that the broker has stored it.

        Those of one key go in their order, and after one that failed the rest of its key is not sent.
        Raises BrokerUnavailable when nothing can be said of any of them.
        """

    async def consume(self, queue: Queue, handler: Handler, *, prefetch: int) -> None:
        """Deliver messages to the handler until cancelled; at most `prefetch` at once.

        A delivery is acknowledged when the handler returns, delayed when it raises Retry, dead when it raises
        Reject. A consumer that dies in between gets, or leaves to others, the same message again.
        """

    async def consume_together(self, queue: Queue, handler: BatchHandler, *, gather_seconds: float) -> None:
        """Do the same with up to 32 messages at once, in whatever order, one batch after the other.

        One that is not full begins `gather_seconds` after the last at the earliest (chassis.broker.batching.Pace).
        """

    async def depth(self, queue: str) -> int:
        """Return how many messages wait in the queue, those in retry included."""

    async def dead(self, queue: str) -> int:
        """Return how many dead letters the queue has."""

    async def redrive(self, queue: str) -> int:
        """Put the dead letters of the queue back into it, with attempts counted anew; return how many."""

    async def ping(self) -> None:
        """Return when the broker answers; raise otherwise."""

    async def close(self) -> None:
        """Close the connections."""
