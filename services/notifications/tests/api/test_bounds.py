"""What an API token that is restricted to a workspace or to projects gets over a socket (A8)."""

import pytest
from chassis.ids import uuid7
from testkit.waiting import eventually

PLACED = "SELECT count(*) FROM notifications.project_place WHERE project_id = ANY(:ids)"
CALLERS = {
    "unrestricted": ({}, {"A", "B", "C", "team", "other"}, {"team", "other"}),
    "own project": ({"projects": ["A"]}, {"A"}, {"team"}),
    "another project": ({"projects": ["B"]}, {"B"}, {"team"}),
    "projects of two workspaces": ({"projects": ["A", "C"]}, {"A", "C"}, {"team", "other"}),
    "own workspace": ({"workspace": "team"}, {"A", "B", "team"}, {"team"}),
    "another workspace": ({"workspace": "other"}, {"C", "other"}, {"other"}),
    "workspace and project": ({"workspace": "team", "projects": ["B"]}, {"B"}, {"team"}),
    "workspace and project of another one": ({"workspace": "other", "projects": ["A"]}, set(), set()),
    "no project": ({"projects": []}, set(), set()),
    "project that is not": ({"projects": ["nowhere"]}, set(), set()),
}


class Scene:
    """A person in two workspaces: `team` with the projects A and B, `other` with C."""

    def __init__(self, world, gateway):
        self.user = uuid7()
        self.gateway = gateway
        self.worlds = {"team": world, "other": type(world)()}
        self.projects = {name: uuid7() for name in ("A", "B", "C")}

    def projects_made(self, *names):
        return [
            self.home(name).event(
                "project.created.v1", entity_type="project", resource={"id": str(one)}, project_id=str(one)
            )
            for name, one in self.projects.items()
            if name in names
        ]

    def home(self, project):
        return self.worlds["other" if project == "C" else "team"]

    def news(self):
        """One change in each project, and one in each workspace that is in none."""
        inside = [self.home(name).task(name, project_id=str(one)) for name, one in self.projects.items()]
        return [*inside, *(world.task(name) for name, world in self.worlds.items())]

    def headers(self, bounds):
        restriction = {}
        if "workspace" in bounds:
            restriction["workspace_id"] = self.worlds[bounds["workspace"]].id
        if "projects" in bounds:
            restriction["project_ids"] = [self.projects.get(name, self.user) for name in bounds["projects"]]
        return self.gateway.token_headers(self.user, "tasks:read", **restriction)

    def names(self, workspaces):
        return {name for name, world in self.worlds.items() if world.id in workspaces}

    async def open(self, service, bounds, cursor=None):
        reader = await service.open(self.user, cursor, headers=self.headers(bounds))
        return reader, await reader.ready()


@pytest.fixture
def scene(world, test_gateway):
    return Scene(world, test_gateway)


@pytest.fixture
async def settled(scene, feed):
    """The scene, with the person in both workspaces and the projects made."""
    await feed.keep(*(world.joins(scene.user) for world in scene.worlds.values()), *scene.projects_made("A", "B", "C"))
    return scene


async def titles(reader, count):
    return {(await reader.frame())["data"]["title"] for _ in range(count)}


@pytest.mark.parametrize("caller", CALLERS)
async def test_a8_frames_replays_and_cursors_are_within_the_restriction(service, settled, feed, signer, caller):
    bounds, seen, workspaces = CALLERS[caller]
    reader, cursor = await settled.open(service, bounds)
    assert settled.names(signer.read_position(cursor)) == workspaces
    await feed.keep(*settled.news())
    frames = [await reader.frame() for _ in seen]
    assert {frame["data"]["title"] for frame in frames} == seen
    assert all(settled.names(signer.read_position(frame["cursor"])) == workspaces for frame in frames)
    assert await reader.is_idle()
    await reader.socket.close()

    await feed.keep(*settled.news())
    again, cursor = await settled.open(service, bounds, cursor)
    assert settled.names(signer.read_position(cursor)) == workspaces
    assert await titles(again, 2 * len(seen)) == seen
    assert await again.is_idle()
    await again.socket.close()


@pytest.mark.parametrize(
    ("projects", "count"), [(["A"], 0), (["B"], 0), (["A", "B"], 2), (["A", "B", "C"], 2), (["C"], 0)]
)
async def test_a8_a_relation_is_for_a_token_that_reaches_both_its_tasks(service, settled, feed, projects, count):
    """It was made in A, and in B."""
    reader, cursor = await settled.open(service, {"projects": projects})
    a, b = (settled.projects[name] for name in ("A", "B"))
    world = settled.worlds["team"]
    await feed.keep(world.relation(a, b), world.relation(b, a))
    for _ in range(2):
        assert [(await reader.frame())["type"] for _ in range(count)] == ["relation.created"] * count
        assert await reader.is_idle()
        await reader.socket.close()
        reader, _ = await settled.open(service, {"projects": projects}, cursor)
    await reader.socket.close()


@pytest.mark.parametrize(
    ("projects", "told"), [(["A"], ["gone"]), (["B"], ["moved"]), (["A", "B"], ["moved"]), (["C"], []), ([], [])]
)
async def test_a8_a_token_is_told_of_what_leaves_its_projects_and_of_what_comes_to_them(
    service, settled, feed, projects, told
):
    reader, cursor = await settled.open(service, {"projects": projects})
    a, b = (str(settled.projects[name]) for name in ("A", "B"))
    changes = [{"field": "project_id", "old": a, "new": b}]
    await feed.keep(settled.worlds["team"].task("moved", "task.moved.v1", project_id=b, changes=changes))
    for _ in range(2):
        frames = [await reader.frame() for _ in told]
        assert [(one["data"] or {"title": "gone"})["title"] for one in frames] == told
        assert [b in str(one) for one in frames] == [name == "moved" for name in told]
        assert await reader.is_idle()
        await reader.socket.close()
        reader, _ = await settled.open(service, {"projects": projects}, cursor)
    await reader.socket.close()


@pytest.mark.parametrize("caller", CALLERS)
async def test_a8_a_position_of_the_user_shows_a_token_no_more(service, settled, feed, signer, caller):
    """From the very beginning of both workspaces: memberships and projects are among what was missed."""
    bounds, seen, _ = CALLERS[caller]
    await feed.keep(*settled.news())
    beginning = signer.position({world.id: 0 for world in settled.worlds.values()})
    reader, _ = await settled.open(service, bounds, beginning)
    inside = {str(settled.projects[name]) for name in seen if name in settled.projects}
    wanted = len(inside) * 2 + 2 * len(seen - set(settled.projects))
    frames = [await reader.frame() for _ in range(wanted)]
    assert await reader.is_idle()
    types = [frame["type"] for frame in frames]
    assert types.count("project.created") == len(inside)
    assert types.count("member.added") == len(seen - set(settled.projects))
    assert {frame["project_id"] for frame in frames} - {None} == inside
    await reader.socket.close()


@pytest.mark.parametrize("caller", CALLERS)
async def test_a8_a_workspace_that_is_joined_later(service, scene, feed, signer, caller):
    bounds, seen, workspaces = CALLERS[caller]
    await feed.keep(*scene.projects_made("A", "B", "C"))
    reader, cursor = await scene.open(service, bounds)
    assert signer.read_position(cursor) == {scene.user: 0}
    for world in scene.worlds.values():
        await feed.keep(world.joins(scene.user))
    joined = [await reader.frame() for _ in seen - set(scene.projects)]
    assert [frame["type"] for frame in joined] == ["member.added"] * len(joined)
    if workspaces and not joined:
        # Nothing tells a token for projects that it has been let in: what follows does.
        await eventually(lambda: admitted(service, scene.user, workspaces))
    await feed.keep(*scene.news())
    assert await titles(reader, len(seen)) == seen
    assert await reader.is_idle()
    await reader.socket.close()


async def admitted(service, user, workspaces):
    (connection,) = service.app.state.hub._by_user[user]  # noqa: SLF001 - nothing that a client sees tells it
    return len(connection.positions) == 1 + len(workspaces)


async def test_a8_a_project_that_is_unknown_is_asked_for_once(service, scene, tasks_api, feed, signer, rows):
    """Its event may be on its way, or have come before projects were kept."""
    team = scene.worlds["team"]
    await feed.keep(team.joins(scene.user), *scene.projects_made("B"))
    assert await rows(PLACED, ids=list(scene.projects.values())) == [(1,)]
    tasks_api.joined[scene.user] = {team.id: 1}
    for bounds, calls in (({"projects": ["B"]}, 0), ({"projects": ["A"]}, 1), ({}, 0)):
        tasks_api.calls.clear()
        reader, cursor = await scene.open(service, bounds)
        assert (len(tasks_api.calls), set(signer.read_position(cursor))) == (calls, {scene.user, team.id})
        await feed.keep(team.task("A", project_id=str(scene.projects["A"])))
        if bounds != {"projects": ["B"]}:
            assert await titles(reader, 1) == {"A"}
        assert await reader.is_idle()
        await reader.socket.close()


async def test_a8_one_unknown_project_among_known_ones_is_asked_for(service, scene, tasks_api, feed, signer):
    team, other = scene.worlds["team"], scene.worlds["other"]
    await feed.keep(team.joins(scene.user), *scene.projects_made("B"))
    tasks_api.joined[scene.user] = {other.id: 1}
    tasks_api.calls.clear()
    reader, cursor = await scene.open(service, {"projects": ["B", "C"]})
    assert (len(tasks_api.calls), set(signer.read_position(cursor))) == (1, {scene.user, team.id, other.id})
    await reader.socket.close()


async def test_a8_a_removed_member_is_told_with_a_token_for_projects_too(service, settled, feed, signer):
    team = settled.worlds["team"]
    reader, _ = await settled.open(service, {"projects": ["A"]})
    await feed.keep(team.leaves(settled.user), team.task("A", project_id=str(settled.projects["A"])))
    revoked = await reader.frame()
    assert (revoked["type"], revoked["workspace_id"]) == ("subscription_revoked", str(team.id))
    assert signer.read_position(revoked["cursor"]) == {settled.user: 0}
    assert await reader.is_idle()
    await reader.socket.close()
