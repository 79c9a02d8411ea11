"""Telling which events a service has, to who explains them to users."""

import asyncio
from collections.abc import Sequence
from functools import cache

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chassis.outbox.catalogue import catalogue
from chassis.outbox.contracts import EventContract


def serve_events(app: FastAPI, events: Sequence[EventContract]) -> None:
    """Serve the catalogue of what users get of `events` at `/internal/events`; it is made when it is asked for first.

    Like the document at `/openapi.json` it is the same for all, and needs no identity.
    """
    made = cache(lambda: catalogue(events))

    async def read_events(_request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(made))

    app.add_route("/internal/events", read_events, include_in_schema=False)
