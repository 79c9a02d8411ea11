from chassis.errors import InvalidInput


class FileEmpty(InvalidInput):
    code = "FILE_EMPTY"
    message = "The body is the file, and there is nothing in it."
