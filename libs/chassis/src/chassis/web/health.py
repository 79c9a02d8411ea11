"""Health and metrics of a process (R64): /livez without dependencies, /readyz with the database, /metrics."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.errors import ServiceUnavailable
from chassis.web.envelope import success_body
from chassis.web.replies import JSON, refuse

Check = Callable[[], Awaitable[None]]
CHECK_SECONDS = 0.5


class NotReady(ServiceUnavailable):
    code = "NOT_READY"
    message = "This process can't serve at the moment; `data.checks` says what is missing."


@dataclass
class Health:
    """What a process can say of itself.

    `required` checks decide readiness; `reported` ones are shown and decide nothing, since a process whose
    broker or cache is away still serves. A check returns, or raises. A process is unready before it is `listening`,
    and when it is `stopping`.
    """

    required: Mapping[str, Check] = field(default_factory=dict)
    reported: Mapping[str, Check] = field(default_factory=dict)
    listening: Callable[[], bool] = lambda: True
    stopping: bool = False

    async def ready(self) -> tuple[bool, dict[str, dict[str, object]]]:
        """Run all checks at once; return readiness and, by check, `ok` and `ms`."""
        names = [*self.required, *self.reported]
        checks = [*self.required.values(), *self.reported.values()]
        outcomes = await asyncio.gather(*(_timed(check) for check in checks))
        results = dict(zip(names, outcomes, strict=True))
        ready = all(results[name]["ok"] for name in self.required) and self.listening() and not self.stopping
        return ready, results


async def _timed(check: Check) -> dict[str, object]:
    started = time.perf_counter()
    running = asyncio.ensure_future(check())
    try:
        done, _ = await asyncio.wait([running], timeout=CHECK_SECONDS)
    finally:
        # Its end is not waited for: what hangs may hang in its end too.
        running.cancel()
    # Whatever a check raises means "not well"; its owner logs why.
    ok = bool(done) and not running.cancelled() and running.exception() is None
    return {"ok": ok, "ms": round((time.perf_counter() - started) * 1000, 1)}


def health_routes(health: Health) -> list[Route]:
    """Return /livez and /readyz; neither shows versions or addresses."""

    async def livez(_request: Request) -> Response:
        return _answer({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        ready, checks = await health.ready()
        if not ready:
            return refuse(NotReady(data={"status": "unready", "checks": checks}))
        return _answer({"status": "ok", "checks": checks})

    return [Route("/livez", livez), Route("/readyz", readyz)]


def admin_app(health: Health) -> Starlette:
    """Return the app of the admin port: health and Prometheus metrics."""

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})

    return Starlette(routes=[*health_routes(health), Route("/metrics", metrics)])


def _answer(value: object) -> Response:
    return Response(success_body(orjson.dumps(value)), 200, {"cache-control": "no-store"}, JSON)
