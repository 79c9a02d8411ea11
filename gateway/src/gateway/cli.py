"""The command `gateway`: its roles."""

from collections.abc import Sequence

from chassis.process import run_process
from chassis.roles import print_document, run_role
from chassis.web.health import Health

from gateway import settings as settings_module
from gateway.api import own_document
from gateway.main import Gateway


def main(argv: Sequence[str] | None = None) -> int:
    """Run one role; see `gateway --help`."""
    return run_role("gateway", {"api": run_api, "openapi": print_openapi}, argv, command="gateway")


def run_api(_arguments: Sequence[str]) -> int:
    """Serve until told to stop."""
    settings = settings_module.load()
    health = Health()
    app = Gateway(settings, health)
    return run_process(service="gateway", settings=settings.process, health=health, app=app, protocols=app.protocols())


def print_openapi(_arguments: Sequence[str]) -> int:
    """Print the OpenAPI document of the gateway's own operations."""
    return print_document(own_document())
