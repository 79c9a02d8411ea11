from typing import Annotated

from pydantic import Field, StringConstraints

ZoneName = Annotated[
    Annotated[str, StringConstraints(max_length=64)] | None,
    Field(
        description=(
            "Where days begin and end, such as `Europe/Berlin`; counts before `tz` in the query and `X-Timezone`."
        ),
    ),
]
"""The zone that a body names, if it does."""
