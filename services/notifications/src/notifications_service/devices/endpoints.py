from chassis.egress.rules import UrlNotAllowed
from chassis.errors import NotFound
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, Writing
from chassis.web.envelope import Envelope
from chassis.web.openapi import errors, example, stale
from chassis.web.preconditions import ExpectedVersion, IfMatchMalformed, WantsMinimal
from chassis.web.replies import etag, reply, unless_unchanged
from chassis.web.routing import scope
from fastapi import Request, Response

from notifications_service.devices import service
from notifications_service.devices.access import AllowedDevice, DeviceId, OwnDevice
from notifications_service.devices.errors import ChannelNotConfigured, DeviceVersionConflict, TooManyDevices
from notifications_service.devices.repository import of_user
from notifications_service.devices.schemas import (
    DEVICE_EXAMPLE,
    VAPID_EXAMPLE,
    DeviceOut,
    DevicePatch,
    VapidKeyOut,
)
from notifications_service.preferences.access import WholeCaller
from notifications_service.terms import Channels

router = APIRouter(prefix="/api/v1/devices", tags=["devices"])

ETAG = {"ETag": "The device's version, in quotes."}
STALE = stale(DeviceVersionConflict, DEVICE_EXAMPLE, "name")


@router.get(
    "",
    summary="List your devices",
    description="All that take pushes for you, at most 20, the oldest first. Tokens and subscriptions are not shown.",
    response_model=Envelope[list[DeviceOut]],
    responses={200: example([DEVICE_EXAMPLE], description="Your devices.")},
)
@scope("notifications:read")
async def list_devices(caller: WholeCaller, connection: PrimaryConnection) -> Response:
    return reply([DeviceOut.of(row) for row in await of_user(connection, caller.user_id)])


@router.post(
    "",
    status_code=201,
    summary="Register a device",
    description=(
        "Lets notifications come as pushes: to a browser (`webpush`, with its `PushSubscription` for the key of "
        "`GET /devices/vapid-key`), or to an app by its token of FCM or APNs. What is registered already is the same "
        "device: yours is changed (200), and another user's becomes yours, since you hold it. Which notifications are "
        "pushed is said by your notification preferences. A device that its service says is gone is deleted."
    ),
    response_model=Envelope[DeviceOut],
    responses={
        200: {
            "model": Envelope[DeviceOut],
            **example({**DEVICE_EXAMPLE, "version": 2}, description="It was yours already.", headers=ETAG),
        },
        201: example(
            DEVICE_EXAMPLE, description="The new device.", headers={**ETAG, "Location": "Path of the new device."}
        ),
        **errors(TooManyDevices, ChannelNotConfigured, UrlNotAllowed),
    },
)
@scope("notifications:write")
async def register_device(body: AllowedDevice, caller: WholeCaller, channels: Channels, write: Writing) -> Response:
    row, is_new = await service.register_device(write.session, user_id=caller.user_id, wanted=body, ring=channels.ring)
    headers = {"etag": etag(row["version"])}
    if is_new:
        headers["location"] = f"{router.prefix}/{row['id']}"
    return write.reply(DeviceOut.of(row), status=201 if is_new else 200, headers=headers)


@router.get(
    "/vapid-key",
    summary="Read the key for Web Push",
    description="What a browser subscribes with: the `applicationServerKey` of `pushManager.subscribe`.",
    response_model=Envelope[VapidKeyOut],
    responses={
        200: example(VAPID_EXAMPLE, description="The public key of this installation."),
        **errors(ChannelNotConfigured),
    },
)
@scope("notifications:read")
async def read_vapid_key(_caller: WholeCaller, channels: Channels) -> Response:
    if channels.vapid_public_key is None:
        raise ChannelNotConfigured
    return reply(VapidKeyOut(public_key=channels.vapid_public_key))


@router.get(
    "/{device_id}",
    summary="Read a device",
    description="One of your devices. Its ETag goes into `If-Match` of a change, or `If-None-Match` of a read.",
    response_model=Envelope[DeviceOut],
    responses={
        200: example(DEVICE_EXAMPLE, description="The device.", headers=ETAG),
        304: {"description": "The device is still at the version in If-None-Match."},
        **errors(NotFound),
    },
)
@scope("notifications:read")
async def read_device(request: Request, found: OwnDevice) -> Response:
    return unless_unchanged(request, reply(DeviceOut.of(found), headers={"etag": etag(found["version"])}))


@router.patch(
    "/{device_id}",
    summary="Rename a device",
    description="A JSON merge patch of `name` and `app`; for another token or subscription, register that.",
    response_model=Envelope[DeviceOut],
    responses={
        200: example(
            {**DEVICE_EXAMPLE, "name": "Firefox at work", "version": 2},
            description="The device after the change.",
            headers=ETAG,
        ),
        **errors(NotFound, STALE, IfMatchMalformed),
    },
)
@scope("notifications:write")
async def update_device(
    device_id: DeviceId, body: DevicePatch, caller: WholeCaller, write: Writing, expected: ExpectedVersion
) -> Response:
    row = await service.update_device(
        write.session, user_id=caller.user_id, device_id=device_id, patch=body, expected=expected
    )
    return write.reply(DeviceOut.of(row), headers={"etag": etag(row["version"])})


@router.delete(
    "/{device_id}",
    summary="Delete a device",
    description="Nothing is pushed to it any more. `Prefer: return=minimal` gets 204 instead.",
    response_model=Envelope[None],
    responses={
        200: example(None, description="The device is gone."),
        204: {"description": "Deleted; asked for with `Prefer: return=minimal`."},
        **errors(NotFound, STALE, IfMatchMalformed),
    },
)
@scope("notifications:write")
async def delete_device(
    device_id: DeviceId, caller: WholeCaller, write: Writing, expected: ExpectedVersion, minimal: WantsMinimal
) -> Response:
    await service.delete_device(write.session, user_id=caller.user_id, device_id=device_id, expected=expected)
    return write.no_content() if minimal else write.reply(None)
