from chassis.errors import InvalidInput


class UnknownEvent(InvalidInput):
    code = "UNKNOWN_EVENT"
    message = "There is no such event here: take a name, such as task.updated, all of a kind, such as task.*, or *."
