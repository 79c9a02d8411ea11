"""Mail as a channel: whom it reaches, and who wants no more of it. Transactions are the caller's."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.sealing import KeyRing
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.emails import repository
from notifications_service.emails.errors import EmailNotVerified, UnsubscribeLinkInvalid
from notifications_service.emails.events import channel_disabled
from notifications_service.emails.rules import EmailState, Unsubscription, unseal
from notifications_service.emails.schemas import ChannelOut
from notifications_service.inbox.schemas import NewNotification
from notifications_service.inbox.service import notify
from notifications_service.live.service import tell_user
from notifications_service.people.rules import ACTIVE, HUMAN
from notifications_service.preferences.service import turn_off_digest, turn_off_mail

Reader = AsyncConnection | AsyncSession


async def addresses_of(reader: Reader, *, user_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return where mail reaches some people: verified addresses that no server has refused, of active people."""
    rows = await repository.find(reader, user_ids)
    return {user_id: row["email"] for user_id, row in rows.items() if _is_reached(row)}


async def list_channels(reader: Reader, *, user_id: UUID) -> list[ChannelOut]:
    """Return how somebody is reached without a device or a chat of theirs."""
    inbox = ChannelOut(channel="inbox", state="on", address=None, disabled_reason=None, disabled_at=None)
    return [inbox, await read_channel(reader, user_id=user_id)]


async def read_channel(reader: Reader, *, user_id: UUID) -> ChannelOut:
    """Return how mail reaches somebody."""
    row = (await repository.find(reader, [user_id])).get(user_id)
    known: Mapping[Any, Any] = {"email": None, "reason": None, "disabled_at": None} if row is None else row
    return ChannelOut(
        channel="email",
        state=_state_of(row),
        address=known["email"],
        disabled_reason=known["reason"],
        disabled_at=known["disabled_at"],
    )


async def enable_channel(session: AsyncSession, *, user_id: UUID) -> ChannelOut:
    """Let mail go to somebody's address again, whatever a server said of it. Raises EmailNotVerified."""
    await repository.enable(session, user_id)
    found = await read_channel(session, user_id=user_id)
    if found.state != "on":
        raise EmailNotVerified
    return found


async def give_up_address(session: AsyncSession, *, user_id: UUID, address: str, reason: str) -> None:
    """Send no more mail to an address that was refused for good, and tell the user so, once."""
    if not await repository.disable(session, user_id=user_id, address=address, reason=reason):
        return
    event = channel_disabled(user_id=user_id, channel="email", name=address, reason=reason, disabled_at=utcnow())
    await tell_user(session, user_id=user_id, drafts=[event])
    told = NewNotification(
        user_id=user_id,
        kind="channel_disabled",
        event_id=event.event_id,
        event_type=event.type,
        details={"channel": f"Mail to {address}", "reason": f"the mail server refuses the address ({reason})"},
    )
    await notify(session, wanted=[told])


async def forget_channel(session: AsyncSession, *, user_id: UUID) -> None:
    """Forget what is kept of the address of somebody who is gone."""
    await repository.enable(session, user_id)


def read_link(ring: KeyRing, token: str) -> Unsubscription:
    """Return what a link turns off. Raises UnsubscribeLinkInvalid."""
    found = unseal(ring, token)
    if found is None:
        raise UnsubscribeLinkInvalid(field="token")
    return found


async def unsubscribe(session: AsyncSession, *, wanted: Unsubscription) -> None:
    """Send somebody no more mail of something; once more changes nothing."""
    if wanted.subject == "digest":
        await turn_off_digest(session, user_id=wanted.user_id)
    else:
        await turn_off_mail(session, user_id=wanted.user_id, kind=wanted.subject)


def _is_reached(row: Mapping[Any, Any]) -> bool:
    return _state_of(row) == "on" and row["status"] == ACTIVE and row["kind"] == HUMAN


def _state_of(row: Mapping[Any, Any] | None) -> EmailState:
    if row is None or row["email"] is None:
        return "unknown"
    if not row["email_verified"]:
        return "unverified"
    return "on" if row["reason"] is None else "disabled"
