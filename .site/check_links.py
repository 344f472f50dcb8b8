"""Check the links of a built site: ``python .site/check_links.py FOLDER``.

A link within the site must lead to a file, and to a place in it that is there. A link to another
site must have an address; it is not opened, since the site is built without a network.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links of a page, and the places that links may lead to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Keep what matters of a tag."""
        for name, value in attributes:
            if name in ("id", "name") and value:
                self.places.add(value)
            if name in ("href", "src") and value:
                self.links.add(value)


def broken(folder: Path) -> list[str]:
    """The links that lead nowhere, with their pages."""
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme in ("data", "mailto", "javascript"):
                continue
            if parts.scheme or parts.netloc:
                if parts.scheme not in ("http", "https", "") or "." not in parts.netloc:
                    found.append(f"{path.name}: {link} is no address")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                found.append(f"{path.name}: {link} leads to no file")
            elif target in pages and unquote(parts.fragment) not in pages[target].places:
                found.append(f"{path.name}: {link} leads to no place in its page")
    return found


if __name__ == "__main__":
    wrong = broken(Path(sys.argv[1]))
    print("\n".join(wrong))
    sys.exit(bool(wrong))
