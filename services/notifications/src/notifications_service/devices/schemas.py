import base64
import binascii
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

import orjson
from chassis.patching import MergePatch, NotNull, without_default
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

from notifications_service.devices.rules import DeviceKind
from notifications_service.fields import Label, Url

POINT_BYTES = 65
SECRET_BYTES = 16


def raw_bytes(text: str) -> bytes:
    """Decode base64url with or without padding. Raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _point(text: str) -> str:
    try:
        raw = raw_bytes(text)
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), raw)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != POINT_BYTES:
        raise PydanticCustomError("INVALID_KEY", "A p256dh is an uncompressed point of P-256 in base64url.")
    return text.rstrip("=")


def _secret(text: str) -> str:
    try:
        raw = raw_bytes(text)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != SECRET_BYTES:
        raise PydanticCustomError("INVALID_KEY", "An auth secret is 16 bytes in base64url.")
    return text.rstrip("=")


Token = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[A-Za-z0-9:_.~+/=-]+$")]


class SubscriptionKeys(BaseModel):
    """The keys of a subscription, as `PushSubscription.toJSON()` has them (RFC 8291)."""

    model_config = ConfigDict(extra="forbid")

    p256dh: Annotated[str, StringConstraints(max_length=100), AfterValidator(_point)]
    auth: Annotated[str, StringConstraints(max_length=32), AfterValidator(_secret)]


class Subscription(BaseModel):
    """A browser's `PushSubscription`, as its `toJSON()` gives it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    endpoint: Url
    expiration_time: StrictFloat | None = Field(default=None, alias="expirationTime", description="Not looked at.")
    keys: SubscriptionKeys


SUBSCRIPTION_EXAMPLE: dict[str, Any] = {
    "endpoint": "https://push.example.com/send/dGhpcyBpcyBhbiBleGFtcGxl",
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}
DEVICE_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-8c10-7d2e-8f41-6a0f1d2b3c41",
    "kind": "webpush",
    "name": "Firefox on my laptop",
    "app": "taskloom-web",
    "version": 1,
    "created_at": "2026-11-24T09:00:00Z",
    "updated_at": "2026-11-24T09:00:00Z",
}


class DeviceCreate(BaseModel):
    """A device that takes pushes."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "kind": "webpush",
                    "subscription": SUBSCRIPTION_EXAMPLE,
                    "name": "Firefox on my laptop",
                    "app": "taskloom-web",
                },
                {"kind": "fcm", "token": "c7Qx3k:APA91bF-example", "name": "My phone"},
            ]
        },
    )

    kind: DeviceKind = Field(
        description="A browser by Web Push, Android and others by FCM, or Apple's devices by APNs."
    )
    subscription: Subscription | None = Field(default=None, description="Of `webpush` only.")
    token: Token | None = Field(default=None, description="The registration token of FCM, or the device token of APNs.")
    name: Label = Field(description="By which you know it.")
    app: Label | None = Field(default=None, description="Which app of yours it is.")

    @model_validator(mode="after")
    def _has_its_address(self) -> Self:
        needs_subscription = self.kind == "webpush"
        if (self.subscription is not None) != needs_subscription or (self.token is not None) == needs_subscription:
            raise PydanticCustomError("TOKEN_OR_SUBSCRIPTION", "`webpush` has a subscription, and the others a token.")
        return self

    @property
    def known_by(self) -> str:
        """What tells it from other devices of its kind."""
        return self.token or (self.subscription.endpoint if self.subscription else "")

    @property
    def address(self) -> str:
        """What is needed to send to it: a token, or the subscription as JSON."""
        if self.subscription is None:
            return self.token or ""
        kept = {"endpoint": self.subscription.endpoint, "keys": self.subscription.keys.model_dump()}
        return orjson.dumps(kept).decode()


class DevicePatch(MergePatch):
    """What of a device can be changed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Firefox at work"}]})

    name: Annotated[Label | None, NotNull] = Field(
        default=None, description="By which you know it.", json_schema_extra=without_default
    )
    app: Label | None = Field(default=None, description="Which app of yours it is.", json_schema_extra=without_default)


class DeviceOut(BaseModel):
    """A device that takes pushes. Its token or subscription is never shown."""

    id: UUID
    kind: DeviceKind
    name: str
    app: str | None
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> Self:
        """Return what is shown of a row."""
        return cls.model_validate({name: row[name] for name in cls.model_fields})


class VapidKeyOut(BaseModel):
    """What a browser needs to subscribe."""

    public_key: str = Field(description="For `applicationServerKey`: a point of P-256 in base64url (RFC 8292).")


VAPID_EXAMPLE = {
    "public_key": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
}
