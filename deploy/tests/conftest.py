"""docker-compose.yml as a compose implementation would read it, without one."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


@pytest.fixture(scope="session")
def compose_text() -> str:
    return (ROOT / "docker-compose.yml").read_text()


@pytest.fixture(scope="session")
def compose(compose_text: str) -> dict[str, Any]:
    return yaml.safe_load(compose_text)


@pytest.fixture(scope="session")
def secrets() -> dict[str, str]:
    """What deploy/make-secrets writes."""
    made = subprocess.run([sys.executable, ROOT / "deploy/make-secrets"], capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in made.stdout.splitlines())


@pytest.fixture(scope="session")
def environments(compose: dict[str, Any], secrets: dict[str, str]) -> dict[str, dict[str, str]]:
    """The environment of every container, with the secrets filled in."""

    def fill(match: re.Match[str]) -> str:
        return secrets[match["name"]] if match["kind"] == "?" else match["rest"] or ""

    return {
        name: {key: VARIABLE.sub(fill, str(value)) for key, value in service.get("environment", {}).items()}
        for name, service in compose["services"].items()
    }
