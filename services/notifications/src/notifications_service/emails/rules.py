"""What a link in a mail turns off, and how that is written so that nobody else can write it."""

from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

from chassis.sealing import KeyRing, SealError

from notifications_service.kinds import AnyKind, Kind

PLACE = "emails|unsubscribe|token"
MAX_TOKEN = 300
EmailState = Literal["on", "disabled", "unverified", "unknown"]
Subject = Kind | AnyKind | Literal["digest"]
"""A kind of notification, all mail of notifications, or digests."""
SUBJECTS: frozenset[str] = frozenset({"*", "digest", *get_args(Kind)})


@dataclass(frozen=True, slots=True)
class Unsubscription:
    """What somebody wants no mail of any more."""

    user_id: UUID
    subject: Subject


def seal(ring: KeyRing, wanted: Unsubscription) -> str:
    """Return the token of a link, which is good for as long as its key is in the ring."""
    return ring.seal(f"{wanted.user_id}:{wanted.subject}".encode(), place=PLACE)


def unseal(ring: KeyRing, token: str) -> Unsubscription | None:
    """Return what a token stands for, None when it is none of ours."""
    try:
        user_id, _, subject = ring.open(token, place=PLACE).decode().partition(":")
        return Unsubscription(UUID(user_id), _subject(subject))
    except (SealError, ValueError):
        return None


def _subject(text: str) -> Subject:
    """Raises ValueError for what is no subject."""
    for known in ("digest", *get_args(AnyKind), *get_args(Kind)):
        if text == known:
            found: Subject = known
            return found
    raise ValueError(text)
