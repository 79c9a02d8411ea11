from chassis.errors import Conflict, InvalidInput


class CategoryNotFound(InvalidInput):
    code = "CATEGORY_NOT_FOUND"
    message = "There is no such category here: it is the task's workspace's, or your own on your own tasks."


class CategoryExists(Conflict):
    code = "CATEGORY_EXISTS"
    message = "There is a category of this name here already."
