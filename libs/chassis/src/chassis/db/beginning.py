"""What a transaction begins with, sent along with its BEGIN: one round trip for both."""

from contextlib import suppress
from typing import Any

import asyncpg
from asyncpg.transaction import Transaction, TransactionState


class BeginningConnection(asyncpg.Connection):  # type: ignore[misc] # asyncpg has no types
    """A connection whose next transaction begins with a statement of ours, if it is told one."""

    begins_with = ""

    def transaction(
        self, *, isolation: Any = None, readonly: bool = False, deferrable: bool = False
    ) -> "BeginningTransaction":
        """Make the transaction as the driver does; what it begins with is taken from the connection."""
        return BeginningTransaction(self, isolation, readonly, deferrable)

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        """Execute as the driver does; a BEGIN with what the transaction begins with."""
        if self.begins_with and query.startswith("BEGIN"):
            query, self.begins_with = f"{query} {self.begins_with}", ""
        told: str = await super().execute(query, *args, **options)
        return told


class BeginningTransaction(Transaction):  # type: ignore[misc] # asyncpg has no types
    """A transaction that ends where what it begins with is refused: it has begun by then."""

    async def start(self) -> None:
        """Begin. Raises what the driver raises."""
        try:
            await super().start()
        except asyncpg.PostgresError:
            if self._connection.is_in_transaction():
                # The driver takes it for one that never began, and would leave the connection in it.
                self._state = TransactionState.STARTED
                with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await self.rollback()
            raise


def forget_beginning(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """Let nobody's transaction begin with what was told for another; a listener of `checkout`."""
    dbapi_connection.driver_connection.begins_with = ""
