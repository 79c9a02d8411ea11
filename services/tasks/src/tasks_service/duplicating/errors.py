from chassis.errors import InvalidInput


class TreeTooLarge(InvalidInput):
    code = "TREE_TOO_LARGE"
    message = "A task is copied with at most 499 subtasks: leave them out, or copy it in parts."


class DatesOutOfRange(InvalidInput):
    code = "DATES_OUT_OF_RANGE"
    message = "This moves a date out of the years from 1970 to 2100."
