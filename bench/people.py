"""The people of a measurement: accounts that auth's own code makes, with tokens that it signs, and teams of them.

A password costs 50 ms to hash, and nobody logs in here: all have the same hash. Everything else is as in life: the
events of accounts and teams bring about the personal workspaces, and what other services know of people.
"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from uuid import UUID

from auth_service.settings import TokenSettings
from auth_service.tokens.service import AccessTokenIssuer, AccessTokenTerms
from auth_service.users.service import create_account, email_of
from chassis.db.engine import Database, open_database
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from chassis.settings import DatabaseSettings
from filling import connected
from pydantic import SecretStr
from stack import Copy
from tasks_service.workspaces.service import create_workspace

PASSWORD_HASH = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGxvZ3MgaW4$bm9ib2R5IGxvZ3MgaW4"  # noqa: S105 - it opens nothing
TOKEN_LIFE = timedelta(hours=12)
AT_ONCE = 50
"""Accounts of one transaction."""
TEAMS = (5, 8, 12, 20, 35, 80)
"""Sizes of teams, again and again; everybody is in one."""
PROJECTS = ("Backlog", "Releases", "Support", "Office", "Research")
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Person:
    """Somebody with a valid access token."""

    id: UUID
    token: str


async def make_people(copy: Copy, count: int, *, after: int = 0) -> list[Person]:
    """Make accounts, `after` so many that there are, and wait until all have a personal workspace."""
    ring = KeyRing.parse(copy.environments()["auth"]["AUTH_ENCRYPTION_KEYS"])
    terms = TokenSettings()
    issuer = AccessTokenIssuer(ring, AccessTokenTerms(terms.issuer, terms.audience))
    people: list[Person] = []
    async with _database(copy) as database:
        for first in range(after, after + count, AT_ONCE):
            people += await _make_some(database, issuer, range(first, min(first + AT_ONCE, after + count)))
    await _wait_for(copy, PERSONAL, after + count)
    return people


async def _make_some(database: Database, issuer: AccessTokenIssuer, numbers: range) -> list[Person]:
    made: list[Person] = []
    async with transaction(database) as session:
        for number in numbers:
            address = email_of(f"bench{number}@example.com")
            row = await create_account(
                session, address=address, display_name=f"Bench {number}", password_hash=PASSWORD_HASH, proved=True
            )
            assert row is not None
            # The gateway looks at the token and at what is revoked, and never asks for the session.
            seconds = int(TOKEN_LIFE.total_seconds())
            token = await issuer.issue(
                session, user_id=row["id"], session_id=uuid7(), roles=row["roles"], seconds=seconds
            )
            made.append(Person(row["id"], token))
    return made


async def make_teams(copy: Copy, people: Sequence[Person]) -> None:
    """Let everybody be in one shared workspace of five projects."""
    sizes, first = cycle(TEAMS), 0
    async with _database(copy) as database:
        while first < len(people):
            members = [person.id for person in people[first : first + next(sizes)]]
            first += len(members)
            async with transaction(database) as session:
                await create_workspace(
                    session,
                    owner=Principal(user_id=members[0], session_id=uuid7()),
                    name=f"Team {first}",
                    members=members[1:],
                    projects_named=PROJECTS,
                )
    await _wait_for(copy, KNOWN, 2 * len(people))


PERSONAL = "SELECT count(*) FROM tasks.workspace WHERE personal_owner_id IS NOT NULL"
KNOWN = "SELECT count(*) FROM notifications.membership"
"""What the notifications service knows of, the last of all."""


async def _wait_for(copy: Copy, query: str, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    async with connected(copy.superuser_url()) as connection:
        while (there := await connection.fetchval(query)) < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"After {PATIENCE_SECONDS:.0f} s there are {there} of {count}: {query}")
            await connection.execute("SELECT pg_sleep(0.2)")


@asynccontextmanager
async def _database(copy: Copy) -> AsyncIterator[Database]:
    settings = DatabaseSettings(url=SecretStr(copy.superuser_url()))
    database = open_database(settings, application_name="bench")
    try:
        yield database
    finally:
        await database.close()
