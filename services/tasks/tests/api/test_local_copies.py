"""J4, as a whole: whoever follows the feed has what the server has, and was never told what they may not see.

People do all that changes what is seen and by whom, at random. Each follows the feed with pages of random sizes, from
random positions, at random moments, and applies it to a copy: by id and version, and by the rules that the endpoint's
description gives. At the end every copy is what the API lists for its owner; and whatever is
told of a task is told to who may read that task at that moment.
"""

import random
import runpy
from pathlib import Path

import pytest

SEEDS = (1, 2, 3, 4)
STEPS = 70
KINDS = ("workspace", "member", "project", "status", "label", "task", "comment")
PEOPLE = ("owner", "admin", "member", "colleague", "guest", "viewer", "stranger")
ROLES = ("editor", "commenter", "viewer")
LIVE = """
    SELECT task.id::text FROM tasks.task JOIN tasks.project ON project.id = task.project_id
    WHERE task.id = ANY (CAST(:ids AS uuid[])) AND task.deleted_at IS NULL AND project.deleted_at IS NULL
"""
LOG = """
    SELECT seq, type, entity_id::text, :u = ANY (audience) AS told, :u = ANY (lost_by) AS lost
    FROM tasks.change AS one
    WHERE :id IN (entity_id::text, task_id::text)
        OR project_id IN (SELECT project_id FROM tasks.change WHERE entity_id::text = :id)
        AND (entity_type = 'project' OR entity_type = 'project_member' AND resource->>'user_id' = CAST(:u AS text))
        OR entity_type = 'member' AND resource->>'user_id' = CAST(:u AS text)
    ORDER BY workspace_id, seq
"""
"""What has happened to something, and to who saw it: told where a copy is not what it should be."""
TAKE = runpy.run_path(str(Path(__file__).with_name("test_syncing.py")))["snapshot"]


class Copy:
    """What somebody has, by kind and id, and where they are in the feed."""

    def __init__(self, roster, who, chance):
        self.roster, self.who, self.chance = roster, who, chance
        self.things = {}
        self.cursor = None

    async def begin(self):
        await self._take()

    async def _take(self, **where):
        """Have what there is in a place now, and nothing else of it; the position is that of the whole alone."""
        items, cursor = await TAKE(
            self.roster, self.who, types=list(KINDS), limit=self.chance.choice((3, 50, 500)), **where
        )
        if not where:
            self.cursor, self.things = cursor, {}
        for one in items:
            self.things[one["type"], one["data"]["id"]] = one["data"]

    def _drop(self, name, value):
        def is_there(kind, thing):
            if name == "project_id":
                of_task = self.things.get(("task", thing.get("task_id")), {}).get("project_id")
                return value in (thing.get("project_id"), thing["id"] if kind == "project" else None, of_task)
            return value in (thing.get("workspace_id"), thing["id"])

        self.things = {key: one for key, one in self.things.items() if not is_there(key[0], one)}

    async def follow(self, pages=10_000):
        """Read on, at most so many pages; the last answer is read again sometimes, as after a lost connection."""
        for _ in range(pages):
            limit = self.chance.choice((1, 2, 5, 30, 500))
            answer = await self.roster.ask(self.who, "GET", f"/changes?cursor={self.cursor}&limit={limit}")
            assert answer.status_code == 200, answer.text
            page = answer.json()["data"]
            await self._is_all_seen(page["changes"])
            kept = page["changes"]
            if kept and self.chance.random() < 0.2:
                # Only the first of them arrive.
                kept = kept[: self.chance.randint(1, len(kept))]
                self.cursor = kept[-1]["cursor"]
            else:
                self.cursor = page["next_cursor"]
            for change in kept:
                await self._apply(change)
            if not page["has_more"] and self.cursor == page["next_cursor"]:
                return

    async def _is_all_seen(self, changes):
        """What is told of tasks is of those that one may read now; of what is in the trash nobody is asked."""
        told = {one["task_id"] for one in changes if one["data"] and one["task_id"]}
        live = await self.roster.rows(LIVE, ids=sorted(told))
        for (task,) in live:
            answer = await self.roster.ask(self.who, "GET", f"/tasks/{task}")
            assert answer.status_code == 200, (self.who, task, [one for one in changes if one["task_id"] == task])

    async def _apply(self, change):
        kind, _, verb = change["type"].partition(".")
        reason = change.get("removed", {}).get("reason")
        if kind == "member" and reason == "access_lost":
            self._drop("workspace_id", change["workspace_id"])
        elif kind in ("project", "project_member") and reason == "access_lost":
            await self._anew("project_id", change["project_id"])
        elif kind in ("task", "task_share") and reason == "access_lost":
            self._forget_task(change["task_id"])
        elif reason is not None:
            self._forget(kind, change["subject"], change["project_id"])
        elif kind in KINDS:
            self._keep(kind, verb, change)
        await self._look_around(kind, verb, change)

    async def _look_around(self, kind, verb, change):
        """Take a snapshot where one may see more than before."""
        data = change["data"] or {}
        is_own = data.get("user_id") == self.roster.id(self.who)
        fields = {one["field"] for one in change["changes"]}
        if kind == "member" and is_own:
            await self._anew("workspace_id", change["workspace_id"])
        elif (
            (kind == "project_member" and is_own)
            or (kind == "project" and (verb == "restored" or fields & {"visibility", "member_role"}))
            or (kind == "task_share" and is_own)
        ):
            await self._anew("project_id", change["project_id"])
        elif kind == "task" and (verb in ("moved", "restored")) and data:
            await self._anew("project_id", data["project_id"])

    async def _anew(self, name, value):
        self._drop(name, value)
        await self._take(**{name: value})

    def _keep(self, kind, verb, change):
        key = kind, change["subject"]
        if verb == "removed":
            self.things.pop(key, None)
        elif self.things.get(key, {"version": 0}).get("version", 0) <= change["version"]:
            self.things[key] = change["data"]

    def _forget(self, kind, subject, project_id):
        if kind == "project":
            self._drop("project_id", project_id)
        elif kind == "task":
            self._forget_task(subject)
        else:
            self.things.pop((kind, subject), None)

    def _forget_task(self, task_id):
        self.things = {key: one for key, one in self.things.items() if task_id not in (one["id"], one.get("task_id"))}


class Play:
    """What people do, at random; what they may not do is refused, and that is as good."""

    def __init__(self, roster, chance, database):
        self.roster, self.chance, self.database = roster, chance, database
        self.place = str(roster.workspace_id)
        self.projects, self.tasks, self.shares, self.labels, self.comments = [str(roster.project_id)], [], [], [], []
        self.number = 0

    def _word(self):
        self.number += 1
        return f"word-{self.number:04d}-end"

    async def _try(self, who, method, path, body=None):
        answer = await self.roster.ask(who, method, path, body)
        assert answer.status_code < 500, answer.text
        return answer.json()["data"] if answer.status_code < 300 and answer.content else None

    async def step(self):
        doers = [
            (self.make_task, 6),
            (self.change_task, 6),
            (self.comment, 4),
            (self.delete_comment, 1),
            (self.delete_task, 3),
            (self.restore_task, 2),
            (self.move_task, 4),
            (self.make_project, 2),
            (self.change_project, 4),
            (self.delete_project, 1),
            (self.restore_project, 1),
            (self.enter_project, 4),
            (self.leave_project, 3),
            (self.share_task, 3),
            (self.unshare_task, 2),
            (self.label, 2),
            (self.change_role, 2),
            (self.leave_workspace, 1),
            (self.join_workspace, 2),
        ]
        [do] = self.chance.choices([one for one, _ in doers], [weight for _, weight in doers])
        await do()

    def any_task(self):
        return self.chance.choice(self.tasks) if self.tasks else "0199d3b2-0000-7000-8000-000000000000"

    def any_project(self):
        return self.chance.choice(self.projects)

    async def make_task(self):
        who = self.chance.choice(PEOPLE)
        made = await self._try(who, "POST", "/tasks", {"title": self._word(), "project_id": self.any_project()})
        if made:
            self.tasks.append(made["id"])

    async def change_task(self):
        path = f"/tasks/{self.any_task()}"
        change = self.chance.choice(({"title": self._word()}, {"status": "done"}, {"priority": "high"}))
        await self._try(self.chance.choice(PEOPLE), "PATCH", path, change)

    async def comment(self):
        task = self.any_task()
        made = await self._try(self.chance.choice(PEOPLE), "POST", f"/tasks/{task}/comments", {"body": self._word()})
        if made:
            self.comments.append((task, made["id"]))

    async def delete_comment(self):
        if self.comments:
            task, comment = self.chance.choice(self.comments)
            await self._try("owner", "DELETE", f"/tasks/{task}/comments/{comment}")

    async def delete_task(self):
        permanent = self.chance.choice(("", "", "?permanent=true"))
        await self._try("owner", "DELETE", f"/tasks/{self.any_task()}{permanent}")

    async def restore_task(self):
        await self._try("owner", "POST", f"/tasks/{self.any_task()}/restore")

    async def move_task(self):
        await self._try("owner", "POST", f"/tasks/{self.any_task()}/move", {"project_id": self.any_project()})

    async def make_project(self):
        body = {"name": self._word(), "workspace_id": self.place}
        body["visibility"] = self.chance.choice(("private", "workspace"))
        made = await self._try(self.chance.choice(("owner", "member")), "POST", "/projects", body)
        if made:
            self.projects.append(made["id"])

    async def change_project(self):
        change = self.chance.choice(
            ({"name": self._word()}, {"visibility": "private"}, {"visibility": "workspace"}, {"member_role": "viewer"})
        )
        await self._try("owner", "PATCH", f"/projects/{self.any_project()}", change)

    async def delete_project(self):
        await self._try("owner", "DELETE", f"/projects/{self.any_project()}")

    async def restore_project(self):
        await self._try("owner", "POST", f"/projects/{self.any_project()}/restore")

    async def enter_project(self):
        path = f"/projects/{self.any_project()}/members/{self.roster.id(self.chance.choice(PEOPLE))}"
        await self._try("owner", "PUT", path, {"role": self.chance.choice(ROLES)})

    async def leave_project(self):
        path = f"/projects/{self.any_project()}/members/{self.roster.id(self.chance.choice(PEOPLE))}"
        await self._try("owner", "DELETE", path)

    async def share_task(self):
        task, who = self.any_task(), self.chance.choice(("guest", "viewer", "colleague"))
        self.shares.append((task, who))
        await self._try("owner", "PUT", f"/tasks/{task}/shares/{self.roster.id(who)}", {"role": "viewer"})

    async def unshare_task(self):
        if self.shares:
            task, who = self.chance.choice(self.shares)
            await self._try("owner", "DELETE", f"/tasks/{task}/shares/{self.roster.id(who)}")

    async def label(self):
        if self.labels and self.chance.random() < 0.6:
            label = self.chance.choice(self.labels)
            done = self.chance.choice(("PATCH", "DELETE", "PUT"))
            if done == "PUT":
                await self._try("owner", "PUT", f"/tasks/{self.any_task()}/labels/{label}")
            else:
                await self._try("owner", done, f"/labels/{label}", {"name": self._word()} if done == "PATCH" else None)
            return
        made = await self._try("owner", "POST", "/labels", {"name": self._word(), "workspace_id": self.place})
        if made:
            self.labels.append(made["id"])

    async def change_role(self):
        who = self.chance.choice(("admin", "member", "colleague", "guest"))
        role = self.chance.choice(("admin", "member", "guest"))
        await self._try("owner", "PATCH", f"/workspaces/{self.place}/members/{self.roster.id(who)}", {"role": role})

    async def leave_workspace(self):
        who = self.chance.choice(("member", "colleague", "guest", "viewer"))
        await self._try("owner", "DELETE", f"/workspaces/{self.place}/members/{self.roster.id(who)}")

    async def join_workspace(self):
        who = self.chance.choice(("member", "colleague", "stranger", "viewer"))
        await self.join(self.roster.ids[who], self.chance.choice(("member", "guest")))

    join = None


async def listed(roster, who):
    """What the API shows somebody, asked one list after the other."""

    async def every(path):
        found, cursor = [], ""
        while cursor is not None:
            answer = await roster.ask(who, "GET", f"{path}{'&' if '?' in path else '?'}per_page=100&cursor={cursor}")
            assert answer.status_code == 200, answer.text
            found += answer.json()["data"]
            cursor = answer.json()["meta"]["next_cursor"]
        return found

    tasks = {one["id"]: one for one in await every("/tasks?archived=true")}
    projects = await roster.ok(who, "GET", "/projects?per_page=100")
    labels = await roster.ok(who, "GET", "/labels?per_page=100")
    comments = {}
    for task in tasks:
        comments |= {one["id"]: one for one in await every(f"/tasks/{task}/comments") if one["deleted_at"] is None}
    return {
        "task": tasks,
        "project": {one["id"]: {name: value for name, value in one.items() if name != "role"} for one in projects},
        "label": {one["id"]: one for one in labels},
        "comment": {
            name: {key: value for key, value in one.items() if key not in ("author", "reply_count", "reactions")}
            for name, one in comments.items()
        },
    }


@pytest.mark.parametrize("seed", SEEDS)
async def test_j4_whoever_follows_the_feed_has_what_the_server_has(roster, database, seed):
    chance = random.Random(seed)
    play = Play(roster, chance, database)
    play.join = runpy.run_path(str(Path(__file__).with_name("test_feed.py")))["join_of"](roster, database)
    for _ in range(10):
        await play.make_task()
    copies = [Copy(roster, who, chance) for who in PEOPLE for _ in range(2)]
    for copy in copies:
        await copy.begin()
    for _ in range(STEPS):
        await play.step()
        for copy in copies:
            if chance.random() < 0.15:
                await copy.follow(pages=chance.randint(1, 3))
    for copy in copies:
        await copy.follow()
        truth = await listed(roster, copy.who)
        for kind, there in truth.items():
            had = {name: one for (of, name), one in copy.things.items() if of == kind}
            if kind == "comment":
                had = {name: one for name, one in had.items() if one["task_id"] in truth["task"]}
            wrong = [name for name in had.keys() | there.keys() if had.get(name) != there.get(name)]
            assert wrong == [], "\n".join(
                [
                    f"{copy.who} {kind} had: {name in had}, there: {name in there}\n"
                    + "\n".join(map(str, await roster.rows(LOG, id=name, u=roster.ids[copy.who])))
                    for name in wrong
                ]
            )
