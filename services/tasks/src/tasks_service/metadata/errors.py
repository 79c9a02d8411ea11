from chassis.errors import Conflict, InvalidInput, NotFound


class MetadataMissing(NotFound):
    """The same answer whether there is nothing, or another app's that it does not share."""


class NamespaceTaken(Conflict):
    code = "NAMESPACE_TAKEN"
    message = "Another app uses this namespace in the workspace: take one of your own."


class TooManyNamespaces(InvalidInput):
    code = "TOO_MANY"
    message = "A task has metadata of at most 100 namespaces."
