from chassis.errors import InvalidInput, NotFound


class ExportMissing(NotFound):
    """The same answer whether there never was such an export, it is another's, or its time or its link's is over."""


class HistoryOfAll(InvalidInput):
    code = "HISTORY_NOT_FILTERED"
    message = "The history is that of all, and goes with no filter."
