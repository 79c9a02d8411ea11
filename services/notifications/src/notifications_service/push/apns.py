"""Apple Push Notification service, over HTTP/2 and by a token of a key."""

from datetime import datetime, timedelta
from typing import Any

import httpx2
import jwt
import orjson
from chassis.clock import utcnow

from notifications_service.deliveries.drivers import Postpone, Refused, Sent, TargetGone
from notifications_service.push.accounts import ApnsAccount
from notifications_service.push.messages import TTL_SECONDS, Push
from notifications_service.sending.answers import may_be_repeated, retry_after

PRODUCTION, SANDBOX = "https://api.push.apple.com", "https://api.sandbox.push.apple.com"
TOKEN_KEPT = timedelta(minutes=40)
"""Apple takes a token for an hour, and not a new one more often than each 20 minutes."""
OK, GONE = 200, 410
BAD_TOKENS = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered", "ExpiredToken"})
PROVIDER = frozenset({"ExpiredProviderToken", "InvalidProviderToken", "MissingProviderToken"})
SECONDS = httpx2.Timeout(15, connect=5)


class Apns:
    """Sends to Apple's devices, over one connection that stays open."""

    def __init__(self, account: ApnsAccount, *, url: str | None = None, **options: Any) -> None:
        self._account = account
        self._client = httpx2.AsyncClient(
            http2=True,
            base_url=url or (SANDBOX if account.sandbox else PRODUCTION),
            timeout=SECONDS,
            trust_env=False,
            follow_redirects=False,
            **options,
        )
        self._token = ""
        self._token_until: datetime | None = None

    async def send(self, address: str, push: Push) -> Sent:
        """Send to a device token. Raises Postpone, Refused or TargetGone."""
        headers = {
            "authorization": f"bearer {self._provider_token()}",
            "apns-topic": self._account.topic,
            "apns-push-type": "alert",
            "apns-priority": "10" if push.is_urgent else "5",
            "apns-expiration": str(int(utcnow().timestamp()) + TTL_SECONDS),
            **({} if push.topic is None else {"apns-collapse-id": push.topic}),
        }
        try:
            answer = await self._client.post(f"/3/device/{address}", content=payload_of(push), headers=headers)
        except httpx2.HTTPError:
            raise Postpone("connect") from None
        return self._outcome(answer)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    def _outcome(self, answer: httpx2.Response) -> Sent:
        if answer.status_code == OK:
            return Sent(answer.headers.get("apns-id"))
        cause, reason = _cause(answer), f"status_{answer.status_code}"
        if answer.status_code == GONE or cause in BAD_TOKENS:
            raise TargetGone(reason)
        if cause in PROVIDER:
            self._token_until = None
            raise Postpone(reason)
        if may_be_repeated(answer.status_code):
            raise Postpone(reason, retry_after(answer.headers))
        raise Refused(reason)

    def _provider_token(self) -> str:
        now = utcnow()
        if self._token_until is None or self._token_until < now:
            claims, headers = {"iss": self._account.team_id, "iat": now}, {"kid": self._account.key_id}
            self._token = jwt.encode(claims, self._account.key, algorithm="ES256", headers=headers)
            self._token_until = now + TOKEN_KEPT
        return self._token


def _cause(answer: httpx2.Response) -> str | None:
    try:
        found = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return None
    return found.get("reason") if isinstance(found, dict) else None


def payload_of(push: Push) -> bytes:
    """Return a notification as Apple takes it."""
    shown = {"alert": {"title": push.title, "body": push.body}, "sound": "default"}
    thread = {} if push.topic is None else {"thread-id": push.topic}
    return orjson.dumps({"aps": {**shown, **thread}, **push.data})
