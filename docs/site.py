"""Hooks of MkDocs: every page has a place in the navigation, and links out of `docs` become the names of files."""

import re
from pathlib import Path
from typing import Any

_OUTSIDE = re.compile(r"(!?)\[([^\]]*)\]\(((?:\.\./)+(?!docs/)[^)\s]+)\)")
_FOLDER = re.compile(r"\[([^\]]*)\]\((?:decisions|client\.ipynb|corpora\.csv)\)")


def on_config(config: Any, **_: Any) -> Any:
    """Return the configuration with all pages in its navigation, under the last heading those that it does not name.

    Args:
        config: The configuration of the site.
    """
    folder = Path(config["docs_dir"])
    named = set(_pages(config["nav"]))
    (last,) = config["nav"][-1].values()
    for page in sorted(folder.rglob("*.md"), key=lambda page: (page.parent != folder, page)):
        name = page.relative_to(folder).as_posix()
        if name not in named:
            last.append({page.read_text(encoding="utf-8").splitlines()[0].lstrip("# "): name})
    return config


def _pages(nav: Any) -> list[str]:
    """Return the files that a navigation names."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [name for part in parts for name in _pages(part)]


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return a page whose links to files outside of the site are their names.

    Args:
        markdown: The page.
        page: Its place in the site.
    """
    depth = page.file.src_uri.count("/")

    def replaced(found: re.Match[str]) -> str:
        image, text, target = found.groups()
        if target.count("../") <= depth:
            return found[0]
        name = target.replace("../", "")
        return f"*{text}* (`{name}`)" if image or text != name else f"`{name}`"

    return _FOLDER.sub(r"\1", _OUTSIDE.sub(replaced, markdown))
