"""R28 in spirit: what somebody wrote must do nothing in the page of somebody else."""

import pytest
from tasks_service.markdown.rules import html_of


def test_markdown_becomes_html():
    assert html_of("# A\n\n**b** ~~c~~ [d](https://example.com)\n\n3. e\n") == (
        "<h1>A</h1>\n<p><strong>b</strong> <s>c</s> "
        '<a href="https://example.com" rel="noopener noreferrer nofollow">d</a></p>\n'
        '<ol start="3">\n<li>e</li>\n</ol>\n'
    )
    assert html_of("|a|\n|-|\n|b|") == (
        "<table>\n<thead>\n<tr>\n<th>a</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>b</td>\n</tr>\n</tbody>\n</table>\n"
    )
    assert html_of("```py\nx < 1\n```") == '<pre><code class="language-py">x &lt; 1\n</code></pre>\n'


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:alert(1))",
        "[a](java\tscript:alert(1))",
        "[a](&#x6A;avascript:alert(1))",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "[a](vbscript:x)",
        '[a](https://x "\\"onmouseover=alert(1)")',
        "<a href='javascript:alert(1)'>x</a>",
        "![a](https://tracker.example/p.gif)",
        "<svg/onload=alert(1)>",
        '```" onmouseover=alert(1)\nx\n```',
        "<javascript:alert(1)>",
        "[a]: javascript:alert(1)\n\n[a]",
        "<style>*{display:none}</style>",
    ],
)
def test_nothing_in_it_runs_or_calls_home(hostile):
    html = html_of(hostile).lower()
    for bad in ("<script", "<img", "<svg", "<style", 'href="javascript', 'href="data', 'href="vbscript', "<iframe"):
        assert bad not in html
    assert 'onmouseover="' not in html
    assert 'onerror="' not in html


def test_depth_is_bounded():
    assert len(html_of(">" * 10_000 + "a")) < 200_000
    assert len(html_of("[" * 5_000 + "]" * 5_000)) < 200_000
    assert len(html_of("*a " * 3_300)) < 200_000
