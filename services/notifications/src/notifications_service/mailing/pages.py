"""The pages that links in mails lead to: they need no script and no style, and say nothing of anybody."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from notifications_service.emails.rules import Subject

PAGES = Environment(
    loader=PackageLoader("notifications_service.mailing", "page_templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
CALLED = {"*": "notifications", "digest": "digests"}


def called(subject: Subject) -> str:
    """Return what mail of a subject is called in a sentence."""
    return CALLED.get(subject, f"“{subject.replace('_', ' ')}” notifications")


def asking_page(subject: Subject) -> str:
    """Return the page that asks before anything changes."""
    return PAGES.get_template("asking.html").render(called=called(subject))


def done_page(subject: Subject) -> str:
    """Return the page that says that it is done."""
    return PAGES.get_template("done.html").render(called=called(subject))
