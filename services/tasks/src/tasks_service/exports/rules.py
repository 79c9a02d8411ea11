"""Links by which a file is fetched without a token: signed for somebody, for one export, for five minutes."""

import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

Format = Literal["ndjson", "csv"]
Part = Literal["history", "comments", "attachments"]

LINK_LASTS = timedelta(minutes=5)
EXPIRES = re.compile(r"[0-9]{1,15}")
USER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SIGNATURE = re.compile(r"[0-9a-f]{64}")
PURPOSE = b"links of exports"
CONTENT_TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class ExportTerms:
    """What links are signed with, and how long files are kept."""

    key: bytes
    kept: timedelta

    @classmethod
    def of(cls, secret: str, kept: timedelta) -> "ExportTerms":
        """Make terms whose key is good for nothing else that the secret is for."""
        return cls(hmac.digest(secret.encode(), PURPOSE, "sha256"), kept)

    def sign(self, export_id: UUID, user_id: UUID, expires: int) -> str:
        """Return the signature of a link."""
        return hmac.digest(self.key, f"{export_id}|{user_id}|{expires}".encode(), "sha256").hex()

    def is_signed(self, link: "Link", now: datetime) -> bool:
        """Tell whether a link was signed here, and is not over yet."""
        wanted = self.sign(link.export_id, link.user_id, link.expires)
        is_ours = hmac.compare_digest(wanted, link.signature)
        return is_ours and now.timestamp() < link.expires <= (now + LINK_LASTS).timestamp() + 1


@dataclass(frozen=True, slots=True)
class Link:
    """What a link says."""

    export_id: UUID
    user_id: UUID
    expires: int
    signature: str


def link_of(export_id: UUID, *, expires: str, user: str, signature: str) -> Link | None:
    """Return what the texts of a link say, if it may be one."""
    is_one = EXPIRES.fullmatch(expires) and USER.fullmatch(user) and SIGNATURE.fullmatch(signature)
    return Link(export_id, UUID(user), int(expires), signature) if is_one else None


def path_of(link: Link) -> str:
    """Return the path of a link."""
    query = f"expires={link.expires}&user={link.user_id}&signature={link.signature}"
    return f"/api/v1/exports/{link.export_id}/content?{query}"


def file_name(export_id: UUID, file_format: Format) -> str:
    """Return what the file is called where it is saved."""
    return f"taskloom-{export_id}.{file_format}"
