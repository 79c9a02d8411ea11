"""How long what is recorded is kept, and how much of it is shown at once."""

from datetime import timedelta

KEPT = timedelta(days=7)
MAX_SHOWN = 100
