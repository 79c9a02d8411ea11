from types import MappingProxyType

from chassis.errors import Conflict


class CountMismatch(Conflict):
    """`data.count` is how many tasks match now."""

    code = "COUNT_MISMATCH"
    message = "Another number of tasks than `expected_count` matches now."
    data_example = MappingProxyType({"count": 41})
