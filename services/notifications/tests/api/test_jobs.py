"""E8: how far a job is, is told to its maker alone, live and on a replay."""

from chassis.ids import uuid7


def progress(world, maker, done, verb="updated"):
    resource = {"id": str(uuid7()), "kind": "bulk", "status": "running", "total": 1000, "done": done, "failed": 0}
    return world.event(f"job.{verb}.v1", entity_type="job", resource=resource, audience=[maker])


async def test_e8_the_progress_of_a_job_reaches_its_maker_alone(service, world, feed, signer):
    maker, other = uuid7(), uuid7()
    await feed.keep(world.joins(maker), world.joins(other))
    async with service.reading(maker) as mine, service.reading(other) as theirs:
        await feed.keep(progress(world, maker, 0, "created"), progress(world, maker, 250), world.task("after"))
        frames = await mine.frames(3)
        assert [frame["type"] for frame in frames] == ["job.created", "job.updated", "task.created"]
        assert frames[1]["data"]["done"] == 250
        assert [frame["type"] for frame in await theirs.frames(1)] == ["task.created"]
        assert await theirs.is_idle()
    async with service.reading(other, signer.position({world.id: 2})) as late:
        assert [frame["type"] for frame in await late.frames(1)] == ["task.created"]
        assert await late.is_idle()
