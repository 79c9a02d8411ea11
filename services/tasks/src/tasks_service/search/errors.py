"""What can be wrong with a search."""


class UnknownLanguage(Exception):
    """The database does not know the words of this language."""

    def __str__(self) -> str:
        return "the database has no text search configuration of this name"
