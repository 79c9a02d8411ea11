"""Pure rules of what a whole of operations is answered with."""

OK, MULTI_STATUS = 200, 207
MAX_AT_ONCE = 200
"""How many operations are done in the request itself."""


def status_of(*, total: int, failed: int) -> int:
    """Return the status of an answer to operations of which not all failed."""
    return OK if failed == 0 or total == 0 else MULTI_STATUS
