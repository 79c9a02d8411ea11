"""Choosing the transport by the scheme of BROKER_URL."""

from chassis.broker.port import EventTransport, RetryPolicy
from chassis.broker.rabbitmq import RabbitTransport
from chassis.broker.streams import StreamsTransport


def open_transport(url: str, *, policy: RetryPolicy | None = None) -> EventTransport:
    """Return the adapter for an `amqp(s)://` or `redis(s)://` URL; nothing connects before the first use."""
    if url.startswith(("redis://", "rediss://")):
        return StreamsTransport(url, policy=policy)
    return RabbitTransport(url, policy=policy)
