from chassis.errors import ServiceUnavailable


class NotYetConsistent(ServiceUnavailable):
    code = "NOT_YET_CONSISTENT"
    message = "The data is not yet as new as X-Min-Cursor asks for: try again shortly."
