"""Devices of a caller, and what a new one is held against before anything is written."""

from typing import Annotated
from uuid import UUID

from chassis.egress.rules import UrlNotAllowed
from chassis.errors import NotFound
from chassis.web.database import PrimaryConnection
from chassis.web.routing import refuses
from fastapi import Depends, Path
from sqlalchemy import RowMapping

from notifications_service.devices import repository
from notifications_service.devices.errors import ChannelNotConfigured
from notifications_service.devices.schemas import DeviceCreate
from notifications_service.preferences.access import WholeCaller
from notifications_service.terms import Channels


@refuses(ChannelNotConfigured, UrlNotAllowed)
async def allowed_device(body: DeviceCreate, _caller: WholeCaller, channels: Channels) -> DeviceCreate:
    """Return a body that this installation can send to. Raises ChannelNotConfigured, UrlNotAllowed.

    It comes before the transaction: DNS is asked.
    """
    if body.kind not in channels.devices:
        raise ChannelNotConfigured(field="kind")
    if body.subscription is not None:
        endpoint = body.subscription.endpoint
        await channels.check(endpoint, field="subscription.endpoint", asks_dns=not channels.records)
    return body


DeviceId = Annotated[UUID, Path(description="Id of the device.")]


@refuses(NotFound)
async def own_device(device_id: DeviceId, caller: WholeCaller, connection: PrimaryConnection) -> RowMapping:
    """Return a device of the caller's. Raises NotFound."""
    row = await repository.find(connection, user_id=caller.user_id, device_id=device_id)
    if row is None:
        raise NotFound
    return row


AllowedDevice = Annotated[DeviceCreate, Depends(allowed_device)]
OwnDevice = Annotated[RowMapping, Depends(own_device)]
