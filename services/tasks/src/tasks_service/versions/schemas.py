"""What a caller says of the state that its change is for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Expectation:
    """The version in If-Match; None without the header and for `*`.

    `is_given` tells those two apart. With `merges` a change of other fields than those that it is about does no harm.
    """

    version: int | None = None
    is_given: bool = False
    merges: bool = False


ANYTHING = Expectation()
