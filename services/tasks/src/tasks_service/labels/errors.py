from chassis.errors import Conflict, InvalidInput


class LabelNotFound(InvalidInput):
    code = "LABEL_NOT_FOUND"
    message = "There is no such label that this can have."


class LabelExists(Conflict):
    code = "LABEL_EXISTS"
    message = "There is a label of this name here already."


class TooManyLabels(InvalidInput):
    code = "TOO_MANY"
    message = "A task has at most 50 labels of its workspace, and 50 of your own."
