"""A process of a small service: `serve`, or work that fails, ends early, or does not end when it is told to."""

import asyncio
import gc
import sys
from contextlib import asynccontextmanager
from pathlib import Path

from chassis.process import run_process
from chassis.settings import ProcessSettings
from chassis.web.app import APIRouter, create_app
from chassis.web.health import Health
from chassis.web.replies import reply
from chassis.web.routing import public
from starlette.responses import JSONResponse

router = APIRouter(prefix="/api/v1", tags=["sample"])
folder = Path(sys.argv[2])


@router.get("/slow")
@public("it only waits")
async def slow():
    (folder / "reached").touch()
    while not (folder / "go-on").exists():
        await asyncio.sleep(0.01)
    return reply(None)


@router.get("/much")
@public("it only makes much, and drops it")
async def much():
    before = gc.get_stats()[2]["collections"]
    for _ in range(15):
        made = [[] for _ in range(20_000)]
        made.clear()
    return JSONResponse({"full_collections": gc.get_stats()[2]["collections"] - before})


async def fail(stop):
    raise ValueError("a bug of ours")


async def end_early(stop):
    pass


async def work_until_told(stop):
    await stop.wait()
    (folder / "work-ended").touch()


async def work_for_ever(stop):
    await asyncio.Event().wait()


async def no_start(scope, receive, send):
    raise ValueError("no start")


@asynccontextmanager
async def starting(_app):
    (folder / "starting").touch()
    while sys.argv[1] == "slow-start" and not (folder / "go-on").exists():
        await asyncio.sleep(0.01)
    yield


async def close():
    (folder / "closed").touch()


if __name__ == "__main__":
    health = Health()
    work = {
        "serve": work_until_told,
        "fail": fail,
        "end-early": end_early,
        "for-ever": work_for_ever,
        "no-start": work_until_told,
        "slow-start": work_until_told,
    }[sys.argv[1]]
    app = (
        no_start
        if sys.argv[1] == "no-start"
        else create_app(title="Sample", routers=(router,), health=health, state={}, lifespan=starting)
    )
    code = run_process(
        service="sample", settings=ProcessSettings(), health=health, app=app, work=[work], closing=[close]
    )
    sys.exit(code)
