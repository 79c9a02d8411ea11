"""The channel of chats: posting to incoming webhooks, and changing what was posted where that can be done."""

from collections.abc import Mapping
from typing import Any

import orjson
from chassis.egress.client import Answer, Blocked, Egress, Unanswered
from chassis.sealing import KeyRing, SealError
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.chat.messages import payload_of
from notifications_service.chat.rules import CHANGEABLE
from notifications_service.chat.service import disconnect, url_of
from notifications_service.deliveries.drivers import Outgoing, Postpone, Refused, Sent, TargetGone
from notifications_service.sending.answers import may_be_repeated, retry_after

GONE = frozenset({404, 410})
SUCCESS = range(200, 300)
HEADERS = {"content-type": "application/json; charset=utf-8", "user-agent": "Taskloom-Chat/1"}
MAX_ID = 64


class ChatDriver:
    """Posts to chats, each through the egress guard."""

    def __init__(self, ring: KeyRing, egress: Egress) -> None:
        self._ring = ring
        self._egress = egress

    def render(self, message: Outgoing) -> Mapping[str, Any]:
        """Return what would be posted."""
        target = message.target
        about = {"connection_id": str(target["id"]), "connection_kind": target["kind"], "host": target["host"]}
        return {**about, "body": payload_of(target["kind"], message)}

    async def send(self, message: Outgoing) -> Sent:
        """Post a message, or change the one before. Raises Postpone, Refused or TargetGone."""
        try:
            url = url_of(message.target, self._ring)
        except SealError:
            raise Postpone("sealed") from None
        kind = message.target["kind"]
        body = orjson.dumps(payload_of(kind, message))
        if kind not in CHANGEABLE:
            _outcome(await self._request("POST", url, body))
            return Sent()
        if message.previous is not None:
            changed = await self._request("PATCH", _with_path(url, f"/messages/{message.previous}"), body)
            if changed.status not in GONE:
                _outcome(changed)
                return Sent(message.previous)
            # Somebody deleted it there.
        posted = await self._request("POST", _with_query(url, "wait=true"), body)
        _outcome(posted)
        return Sent(_id_of(posted))

    async def drop_target(self, session: AsyncSession, message: Outgoing, reason: str) -> None:
        """Turn off a connection that leads nowhere any more, and tell its owner."""
        await disconnect(session, connection_id=message.target["id"], reason=reason)

    async def _request(self, method: str, url: str, body: bytes) -> Answer:
        try:
            return await self._egress.fetch(method, url, headers=HEADERS, body=body)
        except Blocked:
            raise Postpone("blocked") from None
        except Unanswered as error:
            raise Postpone(error.reason) from None


def _outcome(answer: Answer) -> None:
    """Return for what was taken. Raises Postpone, Refused or TargetGone."""
    if answer.status in SUCCESS:
        return
    reason = f"status_{answer.status}"
    if answer.status in GONE:
        raise TargetGone(reason)
    if may_be_repeated(answer.status):
        raise Postpone(reason, retry_after(answer.headers))
    raise Refused(reason)


def _id_of(answer: Answer) -> str | None:
    """Return what a chat calls the message that it took: digits, since it becomes part of a path."""
    try:
        found = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    told = found.get("id") if isinstance(found, dict) else None
    return told if isinstance(told, str) and told.isascii() and told.isdigit() and len(told) <= MAX_ID else None


def _with_path(url: str, more: str) -> str:
    path, mark, query = url.partition("?")
    return f"{path.rstrip('/')}{more}{mark}{query}"


def _with_query(url: str, more: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{more}"
