"""What the states of a job are, and how long a worker tries."""

from datetime import timedelta
from typing import Literal

Kind = Literal["bulk", "bulk_by_filter", "export", "import"]
Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Outcome = Literal["pending", "succeeded", "failed", "cancelled"]

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = "queued", "running", "succeeded", "failed", "cancelled"
OPEN = (QUEUED, RUNNING)
PENDING = "pending"
RESULTS = "/api/v1/jobs/{}/results"
"""Where the results of the single operations are; of a job's id."""
MAX_OPEN = 20
"""How many jobs somebody may have queued and running at once."""
MAX_ATTEMPTS = 5
"""How often a job is tried that gets no further, since its steps fail."""
MAX_WAITS = 20
"""How often one is tried whose steps wait in vain for others, or for the database: a quarter of an hour."""
MAX_TAKINGS = 50
"""How often a job is taken that gets no further, since whoever takes it is gone."""
TOLD_EVERY = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=1)


def pause_after(attempts: int) -> timedelta:
    """Return how long a job is left alone after so many failed attempts."""
    return min(timedelta(seconds=2.0 ** (attempts - 1)), LONGEST_PAUSE)
