"""The process that takes in events."""

import redis.asyncio as redis
from chassis.broker.consumer import Consumer

from notifications_service.account_mail.consumers import ACCOUNT_MAIL, on_account_mail
from notifications_service.activity.consumers import ACTIVITY
from notifications_service.chat_posts.consumers import CHAT
from notifications_service.following.service import Follower
from notifications_service.live.consumers import LIVE, live_consumer
from notifications_service.people.consumers import PEOPLE, on_person
from notifications_service.webhook_deliveries.service import find_concerned, plan_deliveries

WEBHOOKS = Follower("webhooks", plan_deliveries, concerns=find_concerned, gather_seconds=0.2, ask_seconds=1.0)
FOLLOWERS: tuple[Follower, ...] = (ACTIVITY, WEBHOOKS, CHAT)
"""Who walks every stream and makes something of its events."""
QUEUES = (LIVE, ACCOUNT_MAIL, PEOPLE)


def consumers(server: redis.Redis) -> tuple[Consumer, ...]:
    """Return the consumers of this service."""
    return live_consumer(server), on_account_mail, on_person
