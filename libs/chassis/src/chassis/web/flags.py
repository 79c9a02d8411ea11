"""Query parameters that are true or false, and nothing that only looks like it: some of them destroy."""

from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticKnownError

FLAGS = {"true": True, "false": False}


def _flag(text: Any) -> bool:
    if text not in FLAGS:
        raise PydanticKnownError("bool_parsing")
    return FLAGS[text]


Flag = Annotated[bool, BeforeValidator(_flag)]
