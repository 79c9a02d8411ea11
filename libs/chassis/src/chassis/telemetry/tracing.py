"""Trace context (W3C Trace Context): carried through every hop; spans are exported only when OTEL_* says so."""

import os
import random
import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")
PROPAGATOR = TraceContextTextMapPropagator()
NOTHING = nullcontext()


@dataclass
class Spans:
    """Whether this process records any: asked at each request, and OpenTelemetry looks in the environment each time.

    `configure_tracing` alone says so; a provider that somebody else sets is not used.
    """

    are_recorded: bool = False


SPANS = Spans()
EXPORT_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def tracing_configured() -> bool:
    """Tell whether the environment names somewhere to send spans to."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return not disabled and any(os.environ.get(name) for name in EXPORT_VARIABLES)


def configure_tracing(*, service: str) -> None:
    """Export spans over OTLP/HTTP as OTEL_* says; do nothing without it."""
    if not tracing_configured():
        return
    name = os.environ.get("OTEL_SERVICE_NAME", f"taskloom-{service}")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    SPANS.are_recorded = True


def request_span(
    name: str, *, traceparent: str | None, kind: SpanKind = SpanKind.SERVER
) -> AbstractContextManager[object]:
    """Open a span that follows from `traceparent`; it costs and does nothing where spans are not exported."""
    if not SPANS.are_recorded:
        return NOTHING
    carrier = {} if traceparent is None else {"traceparent": traceparent}
    parent = PROPAGATOR.extract(carrier)
    return trace.get_tracer("taskloom").start_as_current_span(name, context=parent, kind=kind)


def describe_span(name: str, *, status: int) -> None:
    """Name the current span, now that it is known what the request was, and say how it was answered."""
    if not SPANS.are_recorded:
        return
    span = trace.get_current_span()
    if span.is_recording():
        span.update_name(name)
        span.set_attribute("http.response.status_code", status)


def traceparent_of_span() -> str | None:
    """Return the `traceparent` of the current span; None outside any."""
    if not SPANS.are_recorded or trace.get_current_span() is trace.INVALID_SPAN:
        return None
    carrier: dict[str, str] = {}
    PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def valid_traceparent(value: str | None) -> str | None:
    """Return the value when it is a well-formed `traceparent` of version 00, else None."""
    return value if value and TRACEPARENT.fullmatch(value) else None


def new_traceparent() -> str:
    """Start a trace: random ids, sampled. They are no secret, and asking the system for random bytes costs 4 us."""
    return f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-01"


def trace_id_of(traceparent: str) -> str:
    """Return the 32 hex digits that all hops of one trace share."""
    return traceparent[3:35]
