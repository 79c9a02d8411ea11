"""What was acknowledged against what came of it: missing, and twice."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import asyncpg

LOG = """
    SELECT seq, event_id::text AS id, type, entity_id::text AS subject, version, audience::text[] AS audience
    FROM tasks.change WHERE workspace_id = $1 ORDER BY seq
"""
STORED = "SELECT seq FROM notifications.stream_event WHERE workspace_id = $1"
NOTIFIED = (
    "SELECT user_id::text AS person, event_id::text AS id FROM notifications.notification WHERE workspace_id = $1"
)
PLANNED = """
    SELECT n.id::text AS id, n.kind, d.channel, d.state, coalesce(d.target_id::text, '') AS target
    FROM notifications.notification n LEFT JOIN notifications.delivery d ON d.notification_id = n.id
    WHERE n.workspace_id = $1
"""
UNRECORDED = """
    SELECT d.id::text AS id FROM notifications.delivery d
    LEFT JOIN notifications.recorded_message r ON r.id = d.id
    WHERE d.state = 'sent' AND r.id IS NULL AND d.channel <> 'email'
"""
TOLD_AT_ONCE = frozenset({"mentioned", "assigned"})
AT_ONCE = ("email", "push")
"""Where these kinds are told at once to who has chosen nothing."""
SETTLED = frozenset({"sent", "skipped"})
QUIET_SECONDS = 150.0


@dataclass(frozen=True)
class Effect:
    """One kind of effect: how many there should be, which are not there, and which are there twice."""

    name: str
    expected: int
    missing: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    repeated: int = 0
    """Allowed repetitions: HTTP to others is at least once, made once by ids."""


def effect(name, expected, found, *, allowed=False):
    """Compare what should be there, each once, with what is there."""
    counts = Counter(found)
    missing = tuple(one for one in expected if one not in counts)
    twice = tuple(one for one, count in counts.items() if count > 1)
    if allowed:
        return Effect(name, len(expected), missing, (), sum(counts.values()) - len(counts))
    return Effect(name, len(expected), missing, twice)


class Ledger:
    """Looks into the databases and at the readers."""

    def __init__(self, stack, workspace, writers, readers, feeds, receiver, *, owner):
        """`owner` has the webhook of the receiver."""
        self.stack, self.workspace, self.writers = stack, workspace, writers
        self.readers, self.feeds, self.receiver, self.owner = readers, feeds, receiver, owner
        self.start = 0

    async def begin(self):
        """Note where the log is now: the readers follow from here."""
        self.start = max((row["seq"] for row in await self._rows(LOG, self.workspace)), default=0)

    async def effects(self, client):
        """Return all effects as they are now."""
        for feed in self.feeds.values():
            await feed.read_on(client)
        log = await self._rows(LOG, self.workspace)
        later = [row for row in log if row["seq"] > self.start]
        found = [
            self._logged(log),
            effect("stream", [row["seq"] for row in log], await self._values(STORED, self.workspace)),
        ]
        told = {f"{channel} {person[-4:]}": (person, one) for (channel, person), one in self.readers.items()}
        told |= {f"feed {person[-4:]}": (person, one) for person, one in self.feeds.items()}
        for name, (person, reader) in {**told, "webhook": (self.owner, self.receiver)}.items():
            seen = [row["id"] for row in later if person in row["audience"]]
            got = of_workspace(reader.events, self.workspace)
            found.append(effect(name, seen, got, allowed=reader is self.receiver))
        return [*found, await self._notified(log), *await self._delivered()]

    def _logged(self, log):
        expected = [(one.subject, one.version, f"{one.type}.v1") for one in self.writers.acknowledged]
        return effect("log", expected, [(row["subject"], row["version"], row["type"]) for row in log])

    async def _notified(self, log):
        by_change = {(row["subject"], row["version"], row["type"]): row["id"] for row in log}
        expected = [
            (person, by_change.get((one.subject, one.version, f"{one.type}.v1")))
            for one in self.writers.acknowledged
            for person in sorted(one.told)
        ]
        return effect(
            "notification", expected, [(row["person"], row["id"]) for row in await self._rows(NOTIFIED, self.workspace)]
        )

    async def _delivered(self):
        rows = await self._rows(PLANNED, self.workspace)
        planned = [(row["id"], row["channel"], row["target"]) for row in rows if row["channel"] is not None]
        wanted = {(row["id"], channel) for row in rows if row["kind"] in TOLD_AT_ONCE for channel in AT_ONCE}
        told = {(row["id"], row["channel"]) for row in rows}
        unsettled = [row["id"] for row in rows if row["channel"] and row["state"] not in SETTLED]
        sent = sum(row["state"] == "sent" for row in rows)
        return [
            Effect("delivery planned", len(wanted), tuple(sorted(wanted - told)), effect("", [], planned).twice),
            Effect("delivery settled", len(planned), tuple(unsettled)),
            Effect("delivery recorded", sent, tuple(await self._values(UNRECORDED))),
        ]

    async def settled(self, client):
        """Wait until nothing is missing, or nothing has changed for a while; return the effects then."""
        before, since = None, asyncio.get_running_loop().time()
        while True:
            found = await self.effects(client)
            if not any(one.missing for one in found):
                await asyncio.sleep(2)  # what comes twice would come soon after
                return await self.effects(client)
            now = asyncio.get_running_loop().time()
            if (state := [(one.name, len(one.missing)) for one in found]) != before:
                before, since = state, now
            elif now - since > QUIET_SECONDS:
                return found
            await asyncio.sleep(0.5)

    async def _values(self, query, *arguments):
        return [row[0] for row in await self._rows(query, *arguments)]

    async def _rows(self, query, *arguments):
        connection = await asyncpg.connect(self.stack.database_url)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()


def of_workspace(events, workspace):
    """Return the ids of events of a workspace, as often as they came."""
    return [event["event_id"] for event in events if event["workspace_id"] == workspace]
