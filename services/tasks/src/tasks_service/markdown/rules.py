"""What people write, as HTML that may be put into a page as it is."""

import nh3
from markdown_it import MarkdownIt

# Images are left out: whoever reads would tell another server so.
TAGS = {
    *("a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p"),
    *("pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
ATTRIBUTES = {"a": {"href", "title"}, "code": {"class"}, "ol": {"start"}}
URL_SCHEMES = {"http", "https", "mailto"}
LINK_REL = "noopener noreferrer nofollow"

_PARSER = MarkdownIt("js-default", {"html": False, "linkify": False, "maxNesting": 20})


def html_of(text: str) -> str:
    """Render Markdown (CommonMark with tables and strikethrough) to sanitized HTML: raw HTML in it is text."""
    rendered: str = _PARSER.render(text)
    return nh3.clean(rendered, tags=TAGS, attributes=ATTRIBUTES, url_schemes=URL_SCHEMES, link_rel=LINK_REL)
