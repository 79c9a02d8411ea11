"""Answering what a caller may do."""

from collections.abc import Sequence

from chassis.identity import Principal
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.permissions import repository
from tasks_service.permissions.policies import can
from tasks_service.permissions.schemas import Check, Decision


async def decide(reader: AsyncConnection, *, caller: Principal, checks: Sequence[Check]) -> list[Decision]:
    """Answer each question, in order."""
    references = [(check.resource.type, check.resource.id) for check in checks]
    held = await repository.find_held(reader, caller, references)
    return [can(caller, check.action, held.get(reference)) for check, reference in zip(checks, references, strict=True)]
