"""Firebase Cloud Messaging (HTTP v1), by an access token of a service account (RFC 7523)."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import jwt
import orjson
from chassis.clock import utcnow

from notifications_service.deliveries.drivers import Postpone, Refused, Sent, TargetGone
from notifications_service.push.accounts import ServiceAccount
from notifications_service.push.messages import TTL_SECONDS, Push
from notifications_service.sending.answers import may_be_repeated, retry_after

URL = "https://fcm.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTED_FOR = timedelta(minutes=30)
RENEWED_BEFORE = timedelta(minutes=5)
SECONDS = aiohttp.ClientTimeout(total=15, connect=5)
OK, UNAUTHORIZED = 200, 401
GONE = frozenset({"UNREGISTERED", "SENDER_ID_MISMATCH"})
TROUBLE = (aiohttp.ClientError, OSError, ValueError, KeyError)
MAX_PROVIDER_ID = 255


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    expires_at: datetime


class Fcm:
    """Sends to apps by their registration tokens."""

    def __init__(self, account: ServiceAccount, *, url: str = URL) -> None:
        self._account = account
        self._url = f"{url}/v1/projects/{account.project_id}/messages:send"
        self._token: _Token | None = None
        self._asking = asyncio.Lock()

    async def send(self, address: str, push: Push) -> Sent:
        """Send to a registration token. Raises Postpone, Refused or TargetGone."""
        async with aiohttp.ClientSession(trust_env=False, timeout=SECONDS) as session:
            token = await self._access_token(session)
            headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
            try:
                async with session.post(
                    self._url, data=orjson.dumps(message_of(address, push)), headers=headers, allow_redirects=False
                ) as answer:
                    content = await answer.content.read(65_536)
                    return self._outcome(answer.status, _object(content), retry_after(answer.headers))
            except TROUBLE:
                raise Postpone("connect") from None

    def _outcome(self, status: int, found: dict[str, Any], pause: timedelta | None) -> Sent:
        if status == OK:
            return Sent(str(found.get("name", ""))[:MAX_PROVIDER_ID] or None)
        reason = f"status_{status}"
        if _codes(found) & GONE:
            raise TargetGone(reason)
        if status == UNAUTHORIZED:
            self._token = None
            raise Postpone(reason)
        if may_be_repeated(status):
            raise Postpone(reason, pause)
        raise Refused(reason)

    async def _access_token(self, session: aiohttp.ClientSession) -> str:
        async with self._asking:
            if self._token is None or self._token.expires_at < utcnow() + RENEWED_BEFORE:
                self._token = await self._ask(session)
            return self._token.value

    async def _ask(self, session: aiohttp.ClientSession) -> _Token:
        now = utcnow()
        claims = {"iss": self._account.client_email, "scope": SCOPE, "aud": self._account.token_uri, "iat": now}
        assertion = jwt.encode({**claims, "exp": now + ASSERTED_FOR}, self._account.private_key, algorithm="RS256")
        form = {"grant_type": GRANT, "assertion": assertion}
        try:
            async with session.post(self._account.token_uri, data=form, allow_redirects=False) as answer:
                found = _object(await answer.content.read(65_536))
                if answer.status != OK:
                    raise Postpone(f"token_{answer.status}")
                seconds = int(found.get("expires_in", 0))
                return _Token(str(found["access_token"]), now + timedelta(seconds=seconds))
        except TROUBLE:
            raise Postpone("token") from None


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _codes(found: dict[str, Any]) -> set[str]:
    error = found.get("error")
    details = error.get("details") if isinstance(error, dict) else None
    return {str(one.get("errorCode")) for one in details or () if isinstance(one, dict)}


def message_of(token: str, push: Push) -> dict[str, Any]:
    """Return a message as FCM takes it; on Apple's devices, too, the collapse key is kept."""
    collapse = {} if push.topic is None else {"collapse_key": push.topic}
    apns = {} if push.topic is None else {"apns": {"headers": {"apns-collapse-id": push.topic}}}
    priority = "HIGH" if push.is_urgent else "NORMAL"
    return {
        "message": {
            "token": token,
            "notification": {"title": push.title, "body": push.body},
            "data": push.data,
            "android": {"ttl": f"{TTL_SECONDS}s", "priority": priority, **collapse},
            **apns,
        }
    }
