"""A contact sheet: a block of thumbnails for each query, to check results by eye."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bandsight.catalog.records import Hit
from bandsight.errors import BandsightError
from bandsight.imagery.thumbnails import thumbnail

_THUMB, _GAP, _TEXT = 144, 8, 43
_TITLE = 26
# What fits below a thumbnail.
_CAPTION_CHARS = 28


def contact_sheet(queries: Sequence[tuple[str, Sequence[Hit]]], path: Path, *, columns: int = 6) -> None:
    """Write a PNG with a titled block of thumbnails for each query.

    Args:
        queries: Title and hits, best first.
        path: Where the picture goes.
        columns: Thumbnails in a row.
    """
    blocks = [(title, list(hits)) for title, hits in queries]
    heights = [_TITLE + max(1, -(-len(hits) // columns)) * (_THUMB + _TEXT + _GAP) + _GAP for _, hits in blocks]
    sheet = Image.new("RGB", (columns * (_THUMB + _GAP) + _GAP, sum(heights) + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    title_font, font = ImageFont.load_default(16), ImageFont.load_default(11)
    top = _GAP
    for (title, hits), height in zip(blocks, heights, strict=True):
        draw.text((_GAP, top), title[:110], fill="black", font=title_font)
        for position, hit in enumerate(hits):
            x = _GAP + position % columns * (_THUMB + _GAP)
            y = top + _TITLE + position // columns * (_THUMB + _TEXT + _GAP)
            sheet.paste(_picture(hit), (x, y))
            for line, (text, fill) in enumerate(zip(captions(hit), ("black", "#666", "#666"), strict=True)):
                draw.text((x, y + _THUMB + 2 + 13 * line), text[:_CAPTION_CHARS], fill=fill, font=font)
        if not hits:
            draw.text((_GAP, top + _TITLE), "no results", fill="#666", font=font)
        top += height
    sheet.save(path)


def captions(hit: Hit) -> tuple[str, str, str]:
    """Return what stands below a hit: how likely it is, or its score; its date; its sensor and tile."""
    sure = f"score {hit.score:.3f}" if hit.probability is None else f"{hit.probability:.0%}"
    date = hit.scene.datetime.date().isoformat() if hit.scene.datetime else "date unknown"
    return f"{hit.rank}.  {sure}", date, f"{hit.scene.sensor}, tile {hit.tile.id}"


def _picture(hit: Hit) -> Image.Image:
    """Return the hit's thumbnail, or a grey square where the scene cannot be read."""
    try:
        return Image.fromarray(thumbnail(hit.scene, hit.tile, _THUMB))
    except BandsightError:
        return Image.fromarray(np.full((_THUMB, _THUMB, 3), 200, np.uint8))
