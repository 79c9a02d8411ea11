"""Running a process: its servers, its background work, and an orderly end (R63)."""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp

from chassis.settings import ProcessSettings
from chassis.telemetry.logs import configure_logs
from chassis.telemetry.tracing import configure_tracing
from chassis.web.answers import ServiceProtocol
from chassis.web.health import Health, admin_app

log = structlog.get_logger()

Work = Callable[[asyncio.Event], Awaitable[None]]
"""Background work: runs until the given event is set, then ends by itself."""

KEEP_ALIVE_SECONDS = 15
SOCKET_PING_SECONDS = 20
MAX_SOCKET_FRAME_BYTES = 64 * 1024
COLLECTED_AFTER = (10_000, 5, 10)
"""How many objects are made before the young ones are looked at, and how often that is done before the older ones are,
and then all: half a million objects."""


@dataclass(frozen=True)
class Protocols:
    """What speaks HTTP and WebSocket on a port: the names of uvicorn's own, or makers of others."""

    http: Any = ServiceProtocol
    websocket: Any = "websockets-sansio"


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the process that it runs in."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def run_process(
    *,
    service: str,
    settings: ProcessSettings,
    health: Health,
    app: ASGIApp | None = None,
    protocols: Protocols | None = None,
    work: Sequence[Work] = (),
    closing: Sequence[Callable[[], Awaitable[None]]] = (),
) -> int:
    """Run until SIGTERM or SIGINT; return the exit code.

    With `app` the API is served on `settings.port`, by `protocols` where given; health and metrics are always on
    `settings.admin_port`.
    `work` runs beside them; when any of it fails, the process ends with code 1 and its supervisor starts it
    again. `closing` runs when all else has ended.
    """
    configure_logs(service=service, level=settings.log_level, form=settings.log_format)
    configure_tracing(service=service)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings, health, app, protocols or Protocols(), work, closing))


async def _run(
    settings: ProcessSettings,
    health: Health,
    app: ASGIApp | None,
    protocols: Protocols,
    work: Sequence[Work],
    closing: Sequence[Callable[[], Awaitable[None]]],
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    servers = [make_server(admin_app(health), settings, settings.admin_port)]
    if app is not None:
        api = make_server(app, settings, settings.port, protocols=protocols)
        servers.insert(0, api)
        # The admin port answers while the app still starts, which may take its time.
        health.listening = lambda: api.started
    _keep_out_of_collections()
    tasks = [asyncio.create_task(server.serve()) for server in servers]
    tasks += [asyncio.create_task(_as_coroutine(one, stop)) for one in work]
    log.info("process.started", port=settings.port if app is not None else None, admin_port=settings.admin_port)
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    code = await _end(settings, health, servers, tasks, stop)
    for close in closing:
        await close()
    return code


def _keep_out_of_collections() -> None:
    """Let collections pass over what is there from the beginning, and stays: all stands still while they run.

    Of what comes later so much has to come that what a request makes is gone by then. By the defaults it is taken for
    what stays, and reads of ever new shapes have everything looked at every fifty requests, for half a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)


async def _end(
    settings: ProcessSettings,
    health: Health,
    servers: list[Server],
    tasks: list[asyncio.Task[Any]],
    stop: asyncio.Event,
) -> int:
    """Stop in order: unready, then no new connections, then finish what is in flight."""
    asked_to = stop.is_set()
    health.stopping = True
    stop.set()
    if asked_to and settings.environment == "production":
        # Load balancers need a moment to see that this process is not ready any more.
        await asyncio.sleep(settings.drain_seconds)
    for server in servers:
        server.should_exit = True
    done, late = await asyncio.wait(tasks, timeout=settings.shutdown_seconds + 2)
    for task in late:
        task.cancel()
    failures = [error for task in done if not task.cancelled() and (error := task.exception()) is not None]
    for error in failures:
        log.error("process.work_failed", exc_info=error)
    log.info("process.stopped", failed=len(failures), cancelled=len(late))
    return 0 if asked_to and not failures else 1


async def _as_coroutine(work: Work, stop: asyncio.Event) -> None:
    await work(stop)


def make_server(
    app: ASGIApp,
    settings: ProcessSettings,
    port: int,
    *,
    protocols: Protocols = Protocols(),
) -> Server:
    """Return a server with the options that every process has."""
    return Server(
        uvicorn.Config(
            app,
            # With "auto" an app whose start crashes would be served all the same.
            lifespan="on",
            host=settings.host,
            port=port,
            http=protocols.http,
            ws=protocols.websocket,
            ws_max_size=MAX_SOCKET_FRAME_BYTES,
            ws_per_message_deflate=False,
            ws_ping_interval=SOCKET_PING_SECONDS,
            ws_ping_timeout=SOCKET_PING_SECONDS,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=settings.shutdown_seconds,
            backlog=4096,
        )
    )
