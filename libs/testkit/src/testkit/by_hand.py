"""What tests write into a service's tables as nothing in the service does: guards of what is written leave it out."""

MARKS = "set_config('tests.by_hand', 'on', true) = 'on'"
"""SQL that marks the transaction that it is run in, and is true."""


def by_hand(statement: str) -> str:
    """Return a statement with a condition that marks what it writes."""
    return f"{statement} AND {MARKS}"
