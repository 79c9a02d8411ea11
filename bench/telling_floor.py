"""The bare floor, but that what it makes is told: by our relay, to all that follow it, as what ours makes is.

Started as the floor is: `telling_floor.py proxy PORT UPSTREAM`, `telling_floor.py service PORT DATABASE_URL`.
"""

import uuid
from collections.abc import Sequence
from typing import Any

import orjson
from chassis.db.base import table_of
from chassis.db.engine import open_database
from chassis.db.telling import TELLER, Teller
from chassis.outbox.publishing import relay_channel
from chassis.settings import DatabaseSettings
from floor import Service, as_json, serve
from pydantic import SecretStr
from tasks_service.models import Change

CHANGE = table_of(Change)
LOG = """
INSERT INTO tasks.change (workspace_id, seq, event_id, type, occurred_at, entity_type, entity_id, project_id, task_id,
                          version, actor, changes, resource, audience, request_id)
VALUES ($1, $2, $3, 'task.created.v1', now(), 'task', $4, $5, $4, 1, $6, $7, $8, $9, 'floor')
"""


class TellingService(Service):
    """The floor's, which tells the fields that are set, and that its maker watches a task."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        database = open_database(DatabaseSettings(url=SecretStr(url)), application_name="floor")
        self._teller: Teller = database.sessions.kw["info"][TELLER]

    async def add(self, user: uuid.UUID, title: str) -> Any:
        """Make a task, and wake the relay, as ours does after its commit."""
        row = await super().add(user, title)
        self._teller.say([(relay_channel(CHANGE), CHANGE.name)])
        return row

    async def log(self, connection: Any, row: Any, place: Sequence[Any], audience: Sequence[uuid.UUID]) -> None:
        """Write what is to be sent."""
        shown = {**row, "key": f"INBOX-{row['number']}", "custom": {}, "external": None, "due": None}
        fields = {**{name: value for name, value in shown.items() if value}, "watchers": [str(row["created_by"])]}
        changes = [{"field": name, "old": None, "new": value} for name, value in fields.items()]
        actor = as_json({"type": "user", "id": row["created_by"]})
        told = [one.decode() for one in (actor, orjson.dumps(changes, default=str), as_json(shown))]
        await connection.execute(LOG, *place, *told, audience)


if __name__ == "__main__":
    serve(TellingService)
