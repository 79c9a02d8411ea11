"""The command `auth-service`: every role of the service."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import timedelta

from chassis.background import Background, background_roles
from chassis.db.base import table_of
from chassis.db.batches import go_through
from chassis.db.engine import open_database
from chassis.db.migrations import current_schema_check
from chassis.db.transactions import transaction
from chassis.errors import AppError
from chassis.roles import api_roles, run_role
from chassis.sealing import KeyRing

from auth_service import settings
from auth_service.administration import service as administration
from auth_service.administration.errors import UserNotFound
from auth_service.db import ROOT, SCHEMA, Inbox
from auth_service.relay import OUTBOX
from auth_service.scheduler import jobs
from auth_service.settings import Settings
from auth_service.terms import administration_terms
from auth_service.tokens import service as tokens
from auth_service.worker import CONSUMERS

SERVICE = "auth"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one role; see `auth-service --help`."""
    roles = {
        **api_roles("auth_service.main"),
        "grant-admin": grant_admin,
        "revoke-admin": revoke_admin,
        "confirm-email": confirm_email,
        "rotate-keys": rotate_keys,
        "tell-accounts": tell_accounts,
        **background_roles(open_background, root=ROOT, queues=[one.queue for one in CONSUMERS]),
    }
    return run_role(SERVICE, roles, argv)


def open_background() -> tuple[Settings, Background]:
    """Say what there is to do beside the API."""
    loaded = settings.load()
    background = Background(
        service=SERVICE,
        inbox=table_of(Inbox),
        consumers=CONSUMERS,
        sources=(OUTBOX,),
        jobs=jobs(loaded),
        checks=lambda database: {"database": current_schema_check(database, schema=SCHEMA, root=ROOT)},
    )
    return loaded, background


def rotate_keys(_arguments: Sequence[str]) -> int:
    """Sign with the next key from now on; running processes follow within ten seconds."""
    asyncio.run(_rotate_keys(settings.load()))
    return 0


async def _rotate_keys(loaded: Settings) -> None:
    database = open_database(loaded.database, application_name="auth-rotate-keys")
    try:
        async with transaction(database) as session:
            ring = KeyRing.parse(loaded.auth.encryption_keys.get_secret_value())
            await tokens.rotate_keys(session, ring, access_ttl=timedelta(seconds=loaded.auth.access_token_ttl))
    finally:
        await database.close()


def tell_accounts(_arguments: Sequence[str]) -> int:
    """Tell other services again of every account, as one does that began to listen later; it may be repeated."""
    asyncio.run(_tell_accounts(settings.load()))
    return 0


async def _tell_accounts(loaded: Settings) -> None:
    database = open_database(loaded.database, application_name="auth-tell-accounts")
    try:
        for tell in (administration.tell_people, administration.tell_service_accounts):
            await go_through(database, tell)
    finally:
        await database.close()


def grant_admin(arguments: Sequence[str]) -> int:
    """Make the person with an address an administrator of the instance."""
    return _set_admin("grant-admin", arguments, is_admin=True)


def revoke_admin(arguments: Sequence[str]) -> int:
    """Make the person with an address an administrator no more."""
    return _set_admin("revoke-admin", arguments, is_admin=False)


def _set_admin(command: str, arguments: Sequence[str], *, is_admin: bool) -> int:
    parser = argparse.ArgumentParser(prog=f"auth-service {command}")
    parser.add_argument("email", help="the address of an account that there is")
    email: str = parser.parse_args(arguments).email
    try:
        roles = asyncio.run(_change_admin(settings.load(), email, is_admin=is_admin))
    except UserNotFound:
        sys.stderr.write(f"There is no account with the address {email}.\n")
        return 1
    except AppError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    sys.stdout.write(f"The roles of {email} are now: {', '.join(roles)}.\n")
    return 0


async def _change_admin(loaded: Settings, email: str, *, is_admin: bool) -> Sequence[str]:
    database = open_database(loaded.database, application_name="auth-administration")
    try:
        async with transaction(database) as session:
            row = await administration.set_admin(
                session, email=email, is_admin=is_admin, terms=administration_terms(loaded)
            )
            return list(row["roles"])
    finally:
        await database.close()


def confirm_email(arguments: Sequence[str]) -> int:
    """Take the addresses of accounts as confirmed, where no mail can prove them; it may be repeated."""
    parser = argparse.ArgumentParser(prog="auth-service confirm-email")
    parser.add_argument("emails", metavar="email", nargs="+", help="the address of an account that there is")
    emails: list[str] = parser.parse_args(arguments).emails
    unknown = asyncio.run(_confirm_emails(settings.load(), emails))
    for email in emails:
        if email in unknown:
            sys.stderr.write(f"There is no account with the address {email}.\n")
        else:
            sys.stdout.write(f"The address {email} is confirmed.\n")
    return 1 if unknown else 0


async def _confirm_emails(loaded: Settings, emails: Sequence[str]) -> set[str]:
    """Confirm each address by itself, and return those that nobody has."""
    unknown = set()
    database = open_database(loaded.database, application_name="auth-confirm-email")
    try:
        for email in emails:
            try:
                async with transaction(database) as session:
                    await administration.confirm_email(session, email=email)
            except UserNotFound:
                unknown.add(email)
    finally:
        await database.close()
    return unknown
