"""What of a row its owner is given, and what stays a secret even then."""

from collections.abc import Mapping

from sqlalchemy import Column, LargeBinary, Table

SECRET_WORDS = ("challenge", "digest", "hash", "nonce", "password", "sealed", "secret", "verifier")
NOT_TOLD: Mapping[str, str] = {
    "idempotency_key": "answers that are kept for a day in case a request comes again: copies of what is told anyway",
    "mail_request": "is done within seconds, and tells of whoever asked for a mail to the address",
}
"""Tables of which nothing is told, and why."""


def told_columns(table: Table) -> list[Column[object]]:
    """Return the columns of a table that are no secrets: neither bytes, nor named like one."""
    return [column for column in table.c if not _is_secret(column)]


def _is_secret(column: Column[object]) -> bool:
    return isinstance(column.type, LargeBinary) or any(word in column.name for word in SECRET_WORDS)
