"""Web Push (RFC 8030): encrypted for the browser (RFC 8291), in this installation's name (RFC 8292)."""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

import http_ece
import orjson
from chassis.clock import utcnow
from chassis.egress.client import Blocked, Egress, Unanswered
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02

from notifications_service.deliveries.drivers import Postpone, Refused, Sent, TargetGone
from notifications_service.push.keys import private_key
from notifications_service.push.messages import TTL_SECONDS, Push
from notifications_service.sending.answers import may_be_repeated, retry_after

GONE = frozenset({404, 410})
SUCCESS = range(200, 300)
SALT_BYTES = 16
SIGNED_FOR = timedelta(hours=12)
"""Services refuse more than a day."""


@dataclass(frozen=True, slots=True)
class WebPush:
    """Sends to browsers. `contact` is whom a push service may turn to: a mailto: or https: URL."""

    egress: Egress
    contact: str
    key: str = field(repr=False)

    async def send(self, address: str, push: Push) -> Sent:
        """Send to the subscription that is written in JSON. Raises Postpone, Refused or TargetGone."""
        subscription = orjson.loads(address)
        endpoint, keys = subscription["endpoint"], subscription["keys"]
        headers = {
            **self._authorization(endpoint),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(TTL_SECONDS),
            "urgency": "high" if push.is_urgent else "normal",
            **({} if push.topic is None else {"topic": push.topic}),
        }
        body = encrypted(payload_of(push), keys)
        try:
            answer = await self.egress.fetch("POST", endpoint, headers=headers, body=body)
        except Blocked:
            raise Postpone("blocked") from None
        except Unanswered as error:
            raise Postpone(error.reason) from None
        if answer.status in SUCCESS:
            return Sent()
        reason = f"status_{answer.status}"
        if answer.status in GONE:
            raise TargetGone(reason)
        if may_be_repeated(answer.status):
            raise Postpone(reason, retry_after(answer.headers))
        raise Refused(reason)

    def _authorization(self, endpoint: str) -> dict[str, str]:
        parts = urlsplit(endpoint)
        expires = int((utcnow() + SIGNED_FOR).timestamp())
        signed = Vapid02(private_key(self.key)).sign(
            {"aud": f"{parts.scheme}://{parts.netloc}", "sub": self.contact, "exp": expires}
        )
        return {"authorization": str(signed["Authorization"])}


def payload_of(push: Push) -> bytes:
    """Return what a service worker gets."""
    return orjson.dumps({"title": push.title, "body": push.body, "data": push.data})


def encrypted(payload: bytes, keys: Mapping[str, str]) -> bytes:
    """Encrypt for a subscription's keys, with a key pair of this message's own."""
    body: bytes = http_ece.encrypt(
        payload,
        salt=os.urandom(SALT_BYTES),
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=_raw(keys["p256dh"]),
        auth_secret=_raw(keys["auth"]),
        version="aes128gcm",
    )
    return body


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
