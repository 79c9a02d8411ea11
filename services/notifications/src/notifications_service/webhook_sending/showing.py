"""What is sent for a delivery, as somebody who may see the webhook is shown it."""

from collections.abc import Mapping
from typing import Any

import orjson
from chassis.cursors import CursorSigner
from chassis.identity import Principal
from sqlalchemy.ext.asyncio import AsyncConnection

from notifications_service.webhook_deliveries.schemas import SentOut
from notifications_service.webhook_sending.messages import compose, fixed_headers

Row = Mapping[Any, Any]


async def request_shown(
    reader: AsyncConnection, *, delivery: Row, webhook: Row, caller: Principal, signer: CursorSigner
) -> SentOut | None:
    """Return what is sent, as far as the caller sees it too: a webhook is sent what its owner sees."""
    joined = {**delivery, **{f"webhook_{name}": value for name, value in webhook.items() if name != "id"}}
    sent, seen = await compose(reader, [joined, {**joined, "webhook_owner_id": caller.user_id}], signer)
    if sent.missing is not None or seen.missing is not None or (delivery["seq"] is not None and sent != seen):
        return None
    return SentOut(url=webhook["url"], headers=fixed_headers(delivery), body=orjson.loads(sent.body))
