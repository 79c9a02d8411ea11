"""Which HTTP client the gateway's proxy path takes: CPU per proxied request, all of them in one run.

    uv run --with httpx --with pyreqwest python bench/proxy_client.py

Each client that is installed stands in the same small proxy (uvicorn in front) before the same upstream. wrk is
needed. docs/adr/0001 and 0020 have the decisions.
"""

import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
from measure import listens, measure, require_wrk
from taskloom_cli.ports import HOST, free_ports
from testkit.servers import wait_until

BODY = b'{"title":"Buy milk"}' * 20
Fetch = Callable[[str, str, bytes | None], Awaitable[tuple[int, bytes]]]


def gateway_fetch() -> Fetch:
    """As the gateway does."""
    question = importlib.import_module("gateway.upstream_connection").Question
    service_client = importlib.import_module("gateway.upstream_http").ServiceClient
    clients: dict[str, Any] = {}

    async def fetch(method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        base = url.removesuffix("/")
        client = clients.get(base) or clients.setdefault(base, service_client(base))
        reply = await client.ask(question(method, "/", [], body or b"", patience=10.0))
        content = await reply.whole()
        client.release(reply)
        return reply.status, content

    return fetch


def aiohttp_fetch() -> Fetch:
    """As the bare floor does."""
    aiohttp = importlib.import_module("aiohttp")
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)

    async def fetch(method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        async with session.request(method, url, data=body) as answer:
            return answer.status, await answer.read()

    return fetch


def httpx_fetch(name: str) -> Fetch:
    """Httpx and its continuation have one interface."""
    library = importlib.import_module(name)
    client = library.AsyncClient(limits=library.Limits(max_connections=None), timeout=10, trust_env=False)

    async def fetch(method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        answer = await client.request(method, url, content=body)
        return answer.status_code, answer.content

    return fetch


def pyreqwest_fetch() -> Fetch:
    """Rust's reqwest, on a thread of its own."""
    client = importlib.import_module("pyreqwest.client").ClientBuilder().build()

    async def fetch(method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        request = client.request(method, url)
        answer = await (request.body_bytes(body) if body else request).build().send()
        return answer.status, bytes(await answer.bytes())

    return fetch


CLIENTS: dict[str, Callable[[], Fetch]] = {
    "httpx": lambda: httpx_fetch("httpx"),
    "httpx2": lambda: httpx_fetch("httpx2"),
    "aiohttp": aiohttp_fetch,
    "pyreqwest": pyreqwest_fetch,
    "gateway": gateway_fetch,
}


def proxy(client: str, upstream: str) -> Any:
    """Return the ASGI app that passes everything on through one client."""
    made: list[Fetch] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if not made:
            made.append(CLIENTS[client]())
        status, body = await made[0](
            scope["method"], f"{upstream}{scope['path']}", (await receive()).get("body") or None
        )
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


async def upstream_app(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer everything with the same 400 bytes."""
    headers = [(b"content-length", str(len(BODY)).encode()), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def serve(app: Any, port: int) -> None:
    uvicorn.run(app, host=HOST, port=port, http="httptools", loop="uvloop", lifespan="off", log_level="error")


def main() -> int:
    """Measure every client that is installed; the parts that serve are this script with arguments."""
    if len(sys.argv) > 1:
        role, port, *rest = sys.argv[1:]
        serve(upstream_app if role == "upstream" else proxy(role, *rest), int(port))
        return 0
    require_wrk()
    (upstream_port,) = free_ports(1)
    upstream = _start("upstream", upstream_port)
    print(f"{'client':12}{'requests/s':>12}{'CPU us a request':>20}")
    try:
        for name in CLIENTS:
            _report(name, f"http://{HOST}:{upstream_port}")
    finally:
        upstream.terminate()
        upstream.wait(10)
    return 0


def _report(name: str, upstream: str) -> None:
    if importlib.util.find_spec(name) is None:
        print(f"{name:12}{'not installed':>32}")
        return
    (port,) = free_ports(1)
    process = _start(name, port, upstream)
    try:
        url = f"http://{HOST}:{port}"
        result = measure(url, ["GET\t/\tAccept\t*/*\t"], {name: process.pid}, seconds=5, connections=32)
        print(f"{name:12}{result.rate:>12.0f}{result.cpu[name]:>20.0f}{'' if not result.errors else '  ERRORS'}")
    finally:
        process.terminate()
        process.wait(10)


def _start(role: str, port: int, *more: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, Path(__file__), role, str(port), *more])
    wait_until(lambda: listens(port), what=role)
    return process


if __name__ == "__main__":
    sys.exit(main())
