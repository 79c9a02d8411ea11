"""Which types of events a service's code has names for, to be compared with its registry."""

import ast
import re
from pathlib import Path

EVENT_TYPE = re.compile(r"[a-z_]+\.[a-z_]+\.v[0-9]+")


def declared_types(package: Path) -> set[str]:
    """Return every type of event that an `events.py` of a package has: a service's own are nowhere else."""
    found: set[str] = set()
    for path in package.glob("**/events.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and EVENT_TYPE.fullmatch(node.value):
                found.add(node.value)
    return found
