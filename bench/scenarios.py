"""What is asked: the requests of each scenario, each by somebody else than the one before, of many different tasks."""

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice

from people import Person
from stock import Stock

TASKS = "/api/v1/tasks"
LISTED = f"{TASKS}?status=todo&per_page=20"
BODY = '{"title": "Buy milk"}'
REQUESTS = 24_000
"""Lines of a scenario, after which it begins again."""
MIXED = (("read", 80), ("list", 15), ("create", 5))
NAMES = ("read", "list", "create", "mixed")

Sender = Callable[[Person], str]
"""How a request tells who sends it: the name and the value of a header, separated by a tab."""


def by_token(person: Person) -> str:
    """As clients do."""
    return f"Authorization\tBearer {person.token}"


def by_name(person: Person) -> str:
    """As the floor and the naive build believe it."""
    return f"X-User\t{person.id}"


def requests_of(
    name: str, people: Sequence[Person], stock: Stock, sender: Sender, writers: Sequence[Person] | None = None
) -> list[str]:
    """Return the lines of a scenario; they are the same each time. `writers` make tasks in the place of `people`."""
    rng = random.Random(name)
    writer_of = {person.id: writer for person, writer in zip(people, writers or people, strict=True)}
    makers: Mapping[str, Callable[[Person], str]] = {
        "read": lambda person: f"GET\t{TASKS}/{stock.any_of(person, rng)}\t{sender(person)}\t",
        "list": lambda person: f"GET\t{LISTED}\t{sender(person)}\t",
        "create": lambda person: f"POST\t{TASKS}\t{sender(writer_of[person.id])}\t{BODY}",
    }
    in_turn = rng.sample(people, k=len(people))
    kinds = [kind for kind, share in MIXED for _ in range(share)] if name == "mixed" else [name]
    return [makers[rng.choice(kinds)](person) for person in islice(cycle(in_turn), REQUESTS)]
