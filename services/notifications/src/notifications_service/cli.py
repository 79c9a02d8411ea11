"""The command `notifications-service`: every role of the service."""

from collections.abc import Sequence

from chassis.background import Background, background_roles
from chassis.cursors import CursorSigner
from chassis.db.base import table_of
from chassis.db.engine import Database
from chassis.db.migrations import current_schema_check
from chassis.egress.client import Egress
from chassis.roles import api_roles, run_role

from notifications_service import settings
from notifications_service.channels import ChannelSender
from notifications_service.db import ROOT, SCHEMA, Inbox
from notifications_service.following.runner import FollowerRunner
from notifications_service.mailing.sender import MailSender, SmtpMailer, refuse_without_server
from notifications_service.relay import OUTBOX
from notifications_service.scheduler import jobs
from notifications_service.settings import Settings
from notifications_service.wake_ups import open_redis
from notifications_service.webhook_sending.sender import WebhookSender
from notifications_service.worker import FOLLOWERS, QUEUES, consumers

SERVICE = "notifications"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one role; see `notifications-service --help`."""
    roles = {
        **api_roles("notifications_service.main"),
        **background_roles(open_background, root=ROOT, queues=QUEUES),
    }
    return run_role(SERVICE, roles, argv)


def open_background() -> tuple[Settings, Background]:
    """Say what there is to do beside the API."""
    loaded = settings.load()
    redis = open_redis(loaded.redis.url.get_secret_value())
    server = loaded.mail.server
    mailer = None if server is None else SmtpMailer(server, loaded.mail.letterhead, loaded.mail_sealing.ring())
    background = Background(
        service=SERVICE,
        inbox=table_of(Inbox),
        consumers=consumers(redis),
        sources=(OUTBOX,),
        jobs=jobs(
            loaded.notifications.replay_days, kept_days=loaded.notifications.kept_days, ring=loaded.sealing.ring()
        ),
        checks=lambda database: {"database": current_schema_check(database, schema=SCHEMA, root=ROOT)},
        work=lambda database: (
            MailSender(database, mailer).run,
            FollowerRunner(database, FOLLOWERS).run,
            webhook_sender(loaded, database).run,
            ChannelSender(loaded, database).run,
        ),
        reported={} if server else {"mail": refuse_without_server},
    )
    return loaded, background


def webhook_sender(loaded: Settings, database: Database) -> WebhookSender:
    """Return what sends to webhooks."""
    signer = CursorSigner(loaded.cursors.secret.get_secret_value())
    egress = Egress(settings.egress_rules(loaded))
    return WebhookSender(database, egress, ring=loaded.sealing.ring(), signer=signer)
