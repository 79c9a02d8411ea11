"""What a failing statement means to the caller (R39); nothing that PostgreSQL says reaches the answer."""

from dataclasses import replace

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from chassis.errors import AppError, Conflict, InternalError, InvalidInput, LockWaitedTooLong, ServiceUnavailable

RETRY_AFTER_SECONDS = 1

DATA_EXCEPTION_CLASS = "22"
CHECK_VIOLATION = "23514"
INVALID_INPUT_STATES = frozenset({"23502", CHECK_VIOLATION})
UNIQUE_VIOLATION = "23505"
FOREIGN_KEY_VIOLATION = "23503"
STATEMENT_TIMEOUT = "57014"
UNAVAILABLE_STATES = frozenset(
    {
        STATEMENT_TIMEOUT,
        "57P01",
        "57P02",
        "57P03",
        "57P04",
        "53300",
        "53200",
        "53100",
        "40001",
        "40P01",
        "25P03",
        "25006",
    }
)
LOCK_NOT_AVAILABLE = "55P03"
CONNECTION_CLASS = "08"
DRIVER_TROUBLE = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What the driver may raise; the third is about a connection whose end it has heard of and not seen yet."""
TROUBLE = (SQLAlchemyError, *DRIVER_TROUBLE)
"""What the database or the way to it may do; who works in the background waits it out."""
ENDING_STATES = frozenset({"57P01", "57P02"})
"""What a server says as it ends a connection."""
POOL_GAVE_UP = "This connection is closed"
"""What the pool says, and nobody else, when a connection and the one made in its place were lost as they were taken."""
INDEX = "index_of_operation"


class AlreadyExists(Conflict):
    code = "ALREADY_EXISTS"
    message = "Something with these values exists already."


class ReferenceNotFound(InvalidInput):
    code = "REFERENCE_NOT_FOUND"
    message = "The request refers to something that does not exist."


def locate(error: DBAPIError, *, index: int) -> None:
    """Note which operation of a request a statement was of that failed, for `explain`."""
    vars(error)[INDEX] = index


def explain(error: SQLAlchemyError | OSError) -> AppError:
    """Return the refusal that a database failure becomes; InternalError for one that is our own mistake."""
    refusal = _explained(error)
    index = vars(error).get(INDEX)
    if index is not None:
        refusal.details = tuple(replace(one, index=index) for one in refusal.details)
    return refusal


def is_outage(error: BaseException) -> bool:
    """Tell whether a failure is of the database or of the way to it, and no matter of what was to be done."""
    if not isinstance(error, SQLAlchemyError | OSError):
        return isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError)
    return isinstance(explain(error), ServiceUnavailable) and sqlstate(error) != STATEMENT_TIMEOUT


def is_lost(error: Exception) -> bool:
    """Tell whether a connection was lost: nobody knows whether what was asked of it was done."""
    if isinstance(error, DBAPIError):
        state = sqlstate(error)
        return error.connection_invalidated or state.startswith(CONNECTION_CLASS) or state in ENDING_STATES
    return isinstance(error, InvalidRequestError) and str(error) == POOL_GAVE_UP


def lost(error: asyncpg.InternalClientError) -> InterfaceError:
    """Return what the driver's confusion means: the server has said that it ends, and the connection still stands."""
    return InterfaceError(None, None, error, hide_parameters=True, connection_invalidated=True)


def _explained(error: SQLAlchemyError | OSError) -> AppError:
    if isinstance(error, OSError | PoolTimeout | InterfaceError):
        return ServiceUnavailable(retry_after=RETRY_AFTER_SECONDS, log_detail=type(error).__name__)
    state = sqlstate(error)
    if is_lost(error):
        return ServiceUnavailable(retry_after=RETRY_AFTER_SECONDS, log_detail=state)
    return _by_state(state)


def sqlstate(error: BaseException) -> str:
    """Return the five-character SQLSTATE behind an error, or an empty string."""
    original = getattr(error, "orig", None)
    return str(getattr(original, "sqlstate", None) or "")


def _by_state(state: str) -> AppError:
    if state in INVALID_INPUT_STATES or state.startswith(DATA_EXCEPTION_CLASS):
        return InvalidInput(log_detail=state)
    if state == UNIQUE_VIOLATION:
        return AlreadyExists(log_detail=state)
    if state == FOREIGN_KEY_VIOLATION:
        return ReferenceNotFound(log_detail=state)
    if state == LOCK_NOT_AVAILABLE:
        return LockWaitedTooLong(retry_after=RETRY_AFTER_SECONDS, log_detail=state)
    if state in UNAVAILABLE_STATES or state.startswith(CONNECTION_CLASS):
        return ServiceUnavailable(retry_after=RETRY_AFTER_SECONDS, log_detail=state)
    return InternalError(log_detail=state)
