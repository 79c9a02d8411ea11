"""What the parts of filters mean, for who reads about them."""

from collections.abc import Mapping

from chassis.filtering.fields import FieldType
from chassis.filtering.tree import Operator

OF_TYPES: Mapping[FieldType, str] = {
    "id": "An id (a UUID).",
    "user": "The id of a user, or `me`.",
    "keyword": "A word of a few, as it is written.",
    "text": "A text of up to 500 characters.",
    "number": "A number of up to 64 bits.",
    "boolean": "`true` or `false`.",
    "day": "A day; of an instant, its day in your zone.",
    "instant": "An instant; with a day, the days are compared, its own being that in your zone.",
    "due": (
        "A day, an instant, or a time that floats with its reader. Where either side is a day, days are compared; "
        "else instants, a floating time being read in your zone."
    ),
    "scalar": "A text, a number, `true` or `false`, each compared with its own kind and unlike the others.",
}
OF_OPERATORS: Mapping[Operator, str] = {
    "=": "Is this value; of several values, has it.",
    "!=": "Is not this value, or has none; of several values, does not have it.",
    "<": "Has a value that is less, or before.",
    "<=": "Has a value that is at most this.",
    ">": "Has a value that is more, or after.",
    ">=": "Has a value that is at least this.",
    "in": "Is any of these values; of several values, has any of them.",
    "not_in": "Is none of these values, or has none; of several values, has none of them.",
    "contains": "Has this text in it, whatever the case.",
    "starts_with": "Begins with this text, whatever the case.",
    "is_null": "Has no value, or with `false`, has one.",
    "has_any": "Has any of these values.",
    "has_all": "Has all of these values.",
    "has_none": "Has none of these values.",
}
OF_FUNCTIONS: Mapping[str, str] = {
    "now": "This instant.",
    "today": "The day that it is in your zone.",
    "tomorrow": "The day after it.",
    "yesterday": "The day before it.",
    "start_of_week": "The Monday of this week.",
    "end_of_week": "The Sunday of this week.",
    "start_of_month": "The first day of this month.",
    "end_of_month": "The last day of this month.",
    "start_of_year": "The first day of this year.",
    "end_of_year": "The last day of this year.",
}
OF_UNITS: Mapping[str, str] = {
    "d": "Days: the same time of the day in your zone, whatever the clocks do in between.",
    "w": "Weeks of seven such days.",
    "mo": "Months: the same day of a later one, or its last.",
    "y": "Years of twelve such months.",
    "h": "Hours, as they pass; added to a day, they make it an instant from its beginning.",
    "min": "Minutes, likewise.",
}
