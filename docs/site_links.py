"""A hook of MkDocs: links out of `docs` lead to a file's name, since the site has only what is in `docs`."""

import re
from typing import Any

_OUTSIDE = re.compile(r"(!?)\[([^\]]*)\]\(((?:\.\./)+(?!docs/)[^)\s]+)\)")
_FOLDER = re.compile(r"\[([^\]]*)\]\((?:decisions|client\.ipynb|corpora\.csv)\)")


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
