from chassis.errors import Conflict, InvalidInput


class FilterNotFound(InvalidInput):
    """The same answer whether it never was, is deleted, or is hidden from the caller."""

    code = "FILTER_NOT_FOUND"
    message = "There is no such saved filter."


class FilterExists(Conflict):
    code = "FILTER_EXISTS"
    message = "There is a saved filter of this name here already."


class TooManyFilters(InvalidInput):
    code = "TOO_MANY"
    message = "You have 200 saved filters in this workspace, and there are no more than that."
