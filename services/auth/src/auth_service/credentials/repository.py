"""All SQL on failed logins, and on the networks of those that succeeded."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from sqlalchemy import ColumnElement, RowMapping, and_, case, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.credentials.models import AccountFailures, AddressFailures, KnownNetwork, LoginFailure
from auth_service.credentials.rules import ACCOUNT_FAILURES, ADDRESS_FAILURES, ADDRESS_WINDOW, KNOWN_FOR, Origin
from auth_service.users.models import Account

account = table_of(Account)
failure = table_of(LoginFailure)
by_address = table_of(AddressFailures)
by_account = table_of(AccountFailures)
known = table_of(KnownNetwork)

NOTED_EVERY = timedelta(days=1)


async def standing(reader: AsyncConnection, origin: Origin, canonical: str, *, now: datetime) -> RowMapping:
    """Return until when a try is put off, whether the account is closed to unknown networks, and whether this is one.

    One row in any case, by one statement that is the same for unknown accounts.
    """
    network = select(failure.c.blocked_until).where(*_of(origin)).scalar_subquery()
    address = select(_address_free_at()).where(by_address.c.address == origin.address, _is_full(now)).scalar_subquery()
    closed = exists().where(by_account.c.account_digest == origin.account_digest, by_account.c.blocked_at.is_not(None))
    is_known = exists().where(
        known.c.account_id == account.c.id,
        account.c.email_canonical == canonical,
        known.c.network == origin.network,
        known.c.last_at > now - KNOWN_FOR,
    )
    until = func.greatest(network, address).label("blocked_until")
    return (await reader.execute(select(until, closed.label("is_closed"), is_known.label("is_known")))).mappings().one()


async def lock(session: AsyncSession, origin: Origin, *, now: datetime) -> RowMapping:
    """Lock what is counted for this origin until the transaction ends, and return how it stands; one row in any case.

    The rows are locked in the order in which failures are counted. `is_noted` says whether `forget` has any to delete.
    """
    network = select(failure.c.blocked_until).where(*_of(origin)).with_for_update().cte("network")
    row = select(by_account.c.blocked_at)
    row = row.where(by_account.c.account_digest == origin.account_digest).with_for_update()
    in_a_row = row.cte("in_a_row")
    full_until = case((_is_full(now), _address_free_at())).label("full_until")
    address = select(full_until).where(by_address.c.address == origin.address).with_for_update().cte("address")
    query = select(
        select(network.c.blocked_until).scalar_subquery().label("blocked_until"),
        select(in_a_row.c.blocked_at).scalar_subquery().label("closed_at"),
        select(address.c.full_until).scalar_subquery().label("full_until"),
        or_(exists(select(network)), exists(select(in_a_row))).label("is_noted"),
    )
    return (await session.execute(query)).mappings().one()


async def count_for_network(session: AsyncSession, origin: Origin, *, now: datetime) -> int | None:
    """Count a failure and return how many there are now; None, and nothing counted, while there is a block."""
    values = {"account_digest": origin.account_digest, "network": origin.network, "failures": 1, "last_at": now}
    statement = insert(failure).values(**values)
    statement = statement.on_conflict_do_update(
        index_elements=["account_digest", "network"],
        set_={"failures": failure.c.failures + 1, "last_at": now},
        where=or_(failure.c.blocked_until.is_(None), failure.c.blocked_until <= now),
    )
    counted: int | None = await session.scalar(statement.returning(failure.c.failures))
    return counted


async def count_for_account(session: AsyncSession, origin: Origin, *, now: datetime) -> int:
    """Count a failure of the account from wherever, and return how many there are in a row."""
    values = {"account_digest": origin.account_digest, "failures": 1, "last_at": now}
    statement = insert(by_account).values(**values)
    more = by_account.c.failures + 1
    blocked_at = case((more >= ACCOUNT_FAILURES, func.coalesce(by_account.c.blocked_at, now)))
    statement = statement.on_conflict_do_update(
        index_elements=["account_digest"], set_={"failures": more, "last_at": now, "blocked_at": blocked_at}
    )
    counted: int = (await session.execute(statement.returning(by_account.c.failures))).scalar_one()
    return counted


async def count_for_address(session: AsyncSession, address: str, *, now: datetime) -> bool:
    """Count a failure from the address; return False, and count nothing, when it has had all that it may have."""
    statement = insert(by_address).values(address=address, failed_at=[now], last_at=now)
    column: Any = by_address.c.failed_at
    younger = case((func.cardinality(column) >= ADDRESS_FAILURES, column[2:ADDRESS_FAILURES]), else_=column)
    statement = statement.on_conflict_do_update(
        index_elements=["address"],
        set_={"failed_at": func.array_append(younger, now), "last_at": now},
        where=~_is_full(now),
    )
    return await session.scalar(statement.returning(by_address.c.address)) is not None


async def put_off(session: AsyncSession, origin: Origin, *, until: datetime) -> None:
    """Refuse tries on this account from this network until then."""
    await session.execute(update(failure).where(*_of(origin)).values(blocked_until=until))


async def forget(session: AsyncSession, origin: Origin) -> None:
    """Begin anew for the account and this network, and with the failures in a row, unless they closed the account."""
    mine = by_account.c.account_digest == origin.account_digest
    in_a_row = delete(by_account).where(mine, by_account.c.blocked_at.is_(None)).cte("in_a_row")
    await session.execute(delete(failure).where(*_of(origin)).add_cte(in_a_row))


async def forget_account(session: AsyncSession, account_digest: bytes) -> None:
    """Begin anew for an account, from everywhere."""
    await session.execute(delete(failure).where(failure.c.account_digest == account_digest))
    await forget_row(session, account_digest)


async def forget_row(session: AsyncSession, account_digest: bytes) -> None:
    """Begin anew with the failures of an account in a row, also when they closed it."""
    await session.execute(delete(by_account).where(by_account.c.account_digest == account_digest))


async def note_network(session: AsyncSession, account_id: UUID, network: str, *, now: datetime) -> None:
    """Note a login from a network."""
    statement = insert(known).values(account_id=account_id, network=network, last_at=now)
    lately = known.c.last_at < now - NOTED_EVERY
    statement = statement.on_conflict_do_update(
        index_elements=["account_id", "network"], set_={"last_at": now}, where=lately
    )
    await session.execute(statement)


async def purge_failures(session: AsyncSession, *, before: datetime) -> bool:
    """Delete a batch of old failures by network; return whether there may be more."""
    return await delete_batch(session, failure, failure.c.last_at < before)


async def purge_address_failures(session: AsyncSession, *, before: datetime) -> bool:
    """Delete a batch of old failures by address; return whether there may be more."""
    return await delete_batch(session, by_address, by_address.c.last_at < before)


async def purge_account_failures(session: AsyncSession, *, before: datetime) -> bool:
    """Delete a batch of old failures by account, but no block; return whether there may be more."""
    return await delete_batch(session, by_account, by_account.c.last_at < before, by_account.c.blocked_at.is_(None))


async def purge_networks(session: AsyncSession, *, before: datetime) -> bool:
    """Delete a batch of networks of long ago; return whether there may be more."""
    return await delete_batch(session, known, known.c.last_at < before)


def _of(origin: Origin) -> tuple[ColumnElement[bool], ...]:
    return failure.c.account_digest == origin.account_digest, failure.c.network == origin.network


def _address_free_at() -> ColumnElement[datetime]:
    column: Any = by_address.c.failed_at
    free_at: ColumnElement[datetime] = column[1] + ADDRESS_WINDOW
    return free_at


def _is_full(now: datetime) -> ColumnElement[bool]:
    return and_(func.cardinality(by_address.c.failed_at) >= ADDRESS_FAILURES, _address_free_at() > now)
