"""A service in a process of its own, whose spans are looked at: what there is of them is of the whole process."""

import asyncio
import json
import os
import sys
from types import SimpleNamespace

import httpx2
from chassis.context import current_request
from chassis.telemetry.logs import configure_logs
from chassis.telemetry.tracing import configure_tracing
from chassis.web.app import APIRouter, create_app
from chassis.web.health import Health
from chassis.web.identity import CurrentPrincipal
from chassis.web.replies import reply
from chassis.web.routing import any_credential
from chassis.web.shortcuts import ListShortcut
from fastapi import Response
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

configure_logs(service="things", level="INFO", form="json")
configure_tracing(service="things")
exporter = InMemorySpanExporter()
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
router = APIRouter(prefix="/things", tags=["things"])


@router.get("")
@any_credential("shows nothing")
async def things(principal: CurrentPrincipal) -> Response:
    if principal.crash:
        raise ValueError
    return reply(None, meta={"within": current_request().traceparent})


async def short(request, principal, asked) -> Response | None:
    return reply(None, meta={"within": current_request().traceparent}) if "short" in asked else None


def principal(header):
    return SimpleNamespace(kind="user", is_session=True, crash=header == "crash")


async def main():
    app = create_app(
        title="Things",
        routers=(router,),
        health=Health(),
        state={"identities": SimpleNamespace(principal=principal)},
        shortcuts=[ListShortcut(things, short, frozenset({"short"}))],
    )
    headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://things", headers=headers) as client:
        answers = [
            await client.get("/things?short=1"),
            await client.get("/things"),
            await client.get("/things", headers={"x-taskloom-identity": "crash"}),
        ]
    spans = exporter.get_finished_spans()
    json.dump([described(*one) for one in zip(answers, spans, strict=True)], sys.stdout)


def described(answer, span):
    return {
        "status": answer.status_code,
        "within": answer.json()["meta"].get("within"),
        "span": f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01",
        "parent": f"{span.parent.span_id:016x}",
        "attributes": dict(span.attributes),
    }


asyncio.run(main())
sys.stdout.flush()
os._exit(0)  # nobody listens at the end of the exporter, which would wait
