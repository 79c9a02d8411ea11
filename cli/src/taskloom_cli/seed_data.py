"""What a new copy begins with: three people who run a small design studio together."""

from dataclasses import dataclass
from typing import Any

PASSWORD = "willow-street-42"  # noqa: S105 - shown in the panel; a copy with a seed is for trying out
WORKSPACE = "Willow Street Studio"


@dataclass(frozen=True)
class Person:
    email: str
    display_name: str
    timezone: str


PEOPLE = (
    Person("ada@example.com", "Ada Okafor", "Europe/London"),
    Person("ben@example.com", "Ben Lindqvist", "Europe/Berlin"),
    Person("cleo@example.com", "Cleo Marchetti", "America/New_York"),
)

WEBSITE, FAIR, OFFICE = "Website relaunch", "Spring craft fair", "Studio"
PROJECTS = (WEBSITE, FAIR, OFFICE)

TASKS: tuple[tuple[int, str, dict[str, Any]], ...] = (
    (0, WEBSITE, {"title": "Write the brief", "status": "done", "priority": "high"}),
    (0, WEBSITE, {"title": "Choose three reference sites", "status": "done"}),
    (1, WEBSITE, {"title": "Sketch the landing page", "status": "in_progress", "priority": "high"}),
    (1, WEBSITE, {"title": "Photograph the new collection", "due": "2026-12-04", "priority": "medium"}),
    (2, WEBSITE, {"title": "Translate the product texts", "description": "German and Italian first."}),
    (2, WEBSITE, {"title": "Set up the newsletter form", "priority": "low"}),
    (0, WEBSITE, {"title": "Check contrast and alt texts", "due": "2026-12-11"}),
    (0, WEBSITE, {"title": "Move the domain", "priority": "urgent", "due": {"at": "2026-12-15T09:00:00Z"}}),
    (1, WEBSITE, {"title": "Redirect the old addresses"}),
    (2, WEBSITE, {"title": "Buy a stock photo subscription", "status": "cancelled"}),
    (0, FAIR, {"title": "Book the stand", "status": "done", "priority": "urgent"}),
    (2, FAIR, {"title": "Order price tags", "due": "2027-02-01"}),
    (2, FAIR, {"title": "Design the banner", "status": "in_progress"}),
    (1, FAIR, {"title": "Reserve the van", "due": {"at": "2027-03-05T07:30:00Z", "timezone": "Europe/Berlin"}}),
    (1, FAIR, {"title": "Pack the card reader"}),
    (0, FAIR, {"title": "Plan the shifts", "priority": "medium"}),
    (0, FAIR, {"title": "Print 200 leaflets", "due": "2027-02-19", "priority": "medium"}),
    (2, FAIR, {"title": "Write a packing list", "description": "Tape, scissors, extension cord, float."}),
    (0, OFFICE, {"title": "Renew the insurance", "priority": "high", "due": "2026-12-31"}),
    (1, OFFICE, {"title": "Fix the squeaking door"}),
    (1, OFFICE, {"title": "Water the fig tree", "due": {"local": "2026-11-30T09:00"}}),
    (2, OFFICE, {"title": "Back up the archive drive", "status": "in_progress"}),
    (2, OFFICE, {"title": "Order coffee", "status": "done", "priority": "urgent"}),
    (0, OFFICE, {"title": "Prepare the VAT return", "due": "2027-01-10", "priority": "high"}),
)
