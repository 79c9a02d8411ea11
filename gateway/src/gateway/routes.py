"""Which service answers which path. A route that is not in this table does not exist."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Upstream = Literal["auth", "tasks", "notifications", "attachments", "gateway"]
Access = Literal["public", "login", "user"]
"""`public` and `login` need no token; `login` has the stricter limit per address."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
WITH_REPLICAS = frozenset({"tasks", "attachments"})
"""Services whose reads a replica may answer."""
RESOURCE = 3
"""Which segment of a path of the API names the resource."""


@dataclass(frozen=True)
class Route:
    """A path template: `{}` is one segment, a final `*` is any number of them.

    `upload` allows large bodies, and `file` says that what goes either way may be a whole workspace. `cost_by` is the
    member of a POST's body that tells how many things are to be done; with `many` these may be many, whatever it says.
    A `stream` is an answer without an end to a GET, and takes a ticket as a WebSocket does. What is posted to a route
    that `only_reads` changes nothing.
    """

    template: str
    upstream: Upstream
    access: Access = "user"
    upload: bool = False
    file: bool = False
    cost_by: str | None = None
    many: bool = False
    stream: bool = False
    only_reads: bool = False

    def changes_by(self, method: str) -> bool:
        """Tell whether a request by a method may change what a replica shows later (R41)."""
        return self.upstream in WITH_REPLICAS and method not in SAFE_METHODS and not self.only_reads

    @cached_property
    def is_transfer(self) -> bool:
        """Whether a file may go either way, which takes longer than an answer may."""
        return self.upload or self.file or self.upstream == "attachments"

    @cached_property
    def does_many(self) -> bool:
        """Whether many things may be done at once, which are answered when all of them are done."""
        return self.many or self.cost_by is not None


ROUTES = (
    Route("/api/v1/auth/register", "auth", "login"),
    Route("/api/v1/auth/login", "auth", "login"),
    Route("/api/v1/auth/login/mfa", "auth", "login"),
    Route("/api/v1/auth/passkeys/login/options", "auth", "login"),
    Route("/api/v1/auth/passkeys/login", "auth", "login"),
    Route("/api/v1/auth/token", "auth", "login"),
    Route("/api/v1/auth/refresh", "auth", "login"),
    Route("/api/v1/auth/reactivate", "auth", "login"),
    Route("/api/v1/auth/oidc/providers", "auth", "public"),
    Route("/api/v1/auth/oidc/{}/start", "auth", "login"),
    Route("/api/v1/auth/oidc/{}/complete", "auth", "login"),
    Route("/api/v1/auth/verify-email", "auth", "login"),
    Route("/api/v1/auth/verify-email/resend", "auth", "login"),
    Route("/api/v1/auth/password/forgot", "auth", "login"),
    Route("/api/v1/auth/password/reset", "auth", "login"),
    Route("/api/v1/auth/*", "auth"),
    Route("/api/v1/users/me/watch-rules", "tasks"),
    Route("/api/v1/users/me/notification-preferences", "notifications"),
    Route("/api/v1/users/me/notification-preferences/effective", "notifications"),
    Route("/api/v1/users/me/channels", "notifications"),
    Route("/api/v1/users/me/channels/*", "notifications"),
    Route("/api/v1/unsubscribe", "notifications", "public"),
    Route("/api/v1/users/*", "auth"),
    Route("/api/v1/service-accounts", "auth"),
    Route("/api/v1/service-accounts/*", "auth"),
    Route("/api/v1/admin/*", "auth"),
    Route("/.well-known/jwks.json", "auth", "public"),
    Route("/api/v1/tasks/{}/attachments", "attachments", upload=True),
    Route("/api/v1/attachments/*", "attachments"),
    Route("/api/v1/tasks", "tasks"),
    Route("/api/v1/tasks/bulk", "tasks", cost_by="operations"),
    Route("/api/v1/tasks/bulk/by-filter", "tasks", cost_by="expected_count"),
    Route("/api/v1/tasks/search", "tasks", only_reads=True),
    Route("/api/v1/tasks/*", "tasks"),
    Route("/api/v1/trash", "tasks"),
    Route("/api/v1/projects", "tasks"),
    Route("/api/v1/categories", "tasks"),
    Route("/api/v1/categories/*", "tasks"),
    Route("/api/v1/projects/*", "tasks"),
    Route("/api/v1/filters", "tasks"),
    Route("/api/v1/filters/*", "tasks"),
    Route("/api/v1/labels", "tasks"),
    Route("/api/v1/labels/*", "tasks"),
    Route("/api/v1/workspaces", "tasks"),
    Route("/api/v1/workspaces/*", "tasks"),
    Route("/api/v1/starred", "tasks"),
    Route("/api/v1/shared-with-me", "tasks"),
    Route("/api/v1/search", "tasks"),
    Route("/api/v1/changes", "tasks"),
    Route("/api/v1/sync", "tasks", cost_by="operations"),
    Route("/api/v1/sync/snapshot", "tasks", only_reads=True),
    Route("/api/v1/operations/{}/undo", "tasks", many=True),
    Route("/api/v1/exports", "tasks"),
    Route("/api/v1/exports/{}", "tasks"),
    Route("/api/v1/exports/{}/content", "tasks", "public", file=True),
    Route("/api/v1/imports", "tasks", upload=True, file=True),
    Route("/api/v1/jobs", "tasks"),
    Route("/api/v1/jobs/*", "tasks"),
    Route("/api/v1/invitations/link", "tasks", "login"),
    Route("/api/v1/invitations/accept", "tasks"),
    Route("/api/v1/invitations/decline", "tasks"),
    Route("/api/v1/authz/check", "tasks", only_reads=True),
    Route("/api/v1/meta/permissions", "tasks"),
    Route("/api/v1/meta/tasks/fields", "tasks"),
    Route("/api/v1/chat-connections", "notifications"),
    Route("/api/v1/chat-connections/*", "notifications"),
    Route("/api/v1/devices", "notifications"),
    Route("/api/v1/devices/*", "notifications"),
    Route("/api/v1/recorded-messages", "notifications"),
    Route("/api/v1/webhooks", "notifications"),
    Route("/api/v1/webhooks/*", "notifications"),
    Route("/api/v1/notifications", "notifications"),
    Route("/api/v1/notifications/*", "notifications"),
    Route("/api/v1/ws", "notifications"),
    Route("/api/v1/stream", "notifications", stream=True),
    Route("/api/v1/ws-tickets", "gateway"),
    Route("/api/v1/status", "gateway", "public"),
    Route("/api/v1/meta/errors", "gateway", "public"),
    Route("/api/v1/meta/events", "gateway", "public"),
    Route("/openapi.json", "gateway", "public"),
    Route("/asyncapi.json", "gateway", "public"),
    Route("/docs", "gateway", "public"),
    Route("/docs/events", "gateway", "public"),
    Route("/docs/events/{}", "gateway", "public"),
    Route("/docs/{}", "gateway", "public"),
)


class RoutingTable:
    """Finds the route of a path: exact templates by look-up, then those with segments, then those with a tail.

    Shapes are looked up by their length and the resource that they name, and tails by what comes before them, so that a
    request does not pay for routes that are not its own.
    """

    def __init__(self, routes: tuple[Route, ...] = ROUTES) -> None:
        self._exact = {
            route.template: route for route in routes if "{}" not in route.template and "*" not in route.template
        }
        self._shaped: dict[tuple[int, str], list[tuple[list[str], Route]]] = {}
        for route in routes:
            if "{}" in route.template:
                shape = route.template.split("/")
                self._shaped.setdefault(_kind_of(shape), []).append((shape, route))
        self._tails = {route.template[:-2]: route for route in routes if route.template.endswith("/*")}

    def find(self, path: str) -> Route | None:
        """Return the most specific route of a path."""
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        segments = path.split("/")
        for shape, route in self._shaped.get(_kind_of(segments), ()):
            if all(s in ("{}", p) for s, p in zip(shape, segments, strict=True)):
                return route
        return self._by_tail(path)

    def _by_tail(self, path: str) -> Route | None:
        """Return the route with the longest beginning; a tail is never empty."""
        end = path.rfind("/", 0, -1)
        while end > 0:
            route = self._tails.get(path[:end])
            if route is not None:
                return route
            end = path.rfind("/", 0, end)
        return None


def _kind_of(segments: list[str]) -> tuple[int, str]:
    """Return by what a path with variable segments is looked up: its length, and `tasks` of `/api/v1/tasks/{}`."""
    return len(segments), segments[RESOURCE] if len(segments) > RESOURCE + 1 else ""
