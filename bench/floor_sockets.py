"""The bare floor of sockets: uvicorn and its WebSockets, with nothing behind and nothing in front.

`floor_sockets.py PORT`: a socket at `/<group>`, and `POST /<group>` sends its body to all of them.
"""

import asyncio
import sys
from collections import defaultdict
from typing import Any

import uvicorn

SOCKETS: defaultdict[str, set[Any]] = defaultdict(set)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve both."""
    readers = SOCKETS[scope["path"]]
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": '{"type":"ready"}'})
        readers.add(send)
        while (await receive())["type"] != "websocket.disconnect":
            pass
        readers.discard(send)
    elif scope["type"] == "http":
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        text = (body + message["body"]).decode()
        await asyncio.gather(*(one({"type": "websocket.send", "text": text}) for one in readers))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        backlog=4096,
    )
