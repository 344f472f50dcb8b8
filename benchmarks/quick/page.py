"""The page of the quick run: tables, sentences and pictures in a single file."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.quick.table import Part, Picture

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8886;
  vertical-align: bottom; }
th { font-weight: 600; max-width: 12rem; }
figure { margin: 1.2rem 0; } img { max-width: 100%; height: auto; background: white; }
figcaption, footer { font-size: .9rem; opacity: .8; }
"""


class Section(NamedTuple):
    """A part as it came out."""

    part: Part
    lines: list[list[str]]
    sentence: str
    pictures: list[Picture]


def page(sections: Iterable[Section], footer: str) -> str:
    """A page that needs no other file."""
    parts = "\n".join(map(_section, sections))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>repkit: the quick run</title>
<style>{STYLE}</style>
</head>
<body>
<h1>repkit: what each system did on embedded data</h1>
{parts}
<footer><p>{html.escape(footer)}</p></footer>
</body>
</html>
"""


def _section(section: Section) -> str:
    head, *rows = section.lines
    cells = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in head)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows
    )
    figures = "\n".join(map(_figure, section.pictures))
    return f"""<section>
<h2>{html.escape(section.part.system)}: {html.escape(section.part.title)}</h2>
<p>{html.escape(section.sentence)}</p>
<div class="table"><table>
<thead><tr>{cells}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
{figures}
</section>"""


def _figure(picture: Picture) -> str:
    image = base64.b64encode(picture.path.read_bytes()).decode()
    caption = html.escape(picture.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{image}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
