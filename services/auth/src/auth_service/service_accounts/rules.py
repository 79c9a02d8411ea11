"""What service accounts can be, without any I/O."""

MOST_SERVICE_ACCOUNTS = 50
"""So many service accounts, each with tokens and a rate limit of its own, may a workspace have."""
