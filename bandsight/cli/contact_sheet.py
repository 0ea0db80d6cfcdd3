"""Contact sheets: a block of thumbnails per query, to check results by eye."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from bandsight.catalog.records import Hit
from bandsight.errors import BandsightError
from bandsight.imagery.thumbnails import thumbnail

_THUMB, _GAP, _TEXT = 144, 8, 43
_TITLE = 26
# Characters that fit below a thumbnail.
_CAPTION_CHARS = 28
_NO_DATA, _UNREADABLE = "#f2f2f2", "#c8c8c8"


def contact_sheet(
    queries: Sequence[tuple[str, Sequence[Hit]]], path: Path, *, columns: int = 6, ranked: bool = True
) -> None:
    """Write a PNG with a titled block of thumbnails per query.

    Args:
        queries: Title and hits, best first.
        path: PNG file to write.
        columns: Thumbnails per row.
        ranked: Whether the hits are ranked and their scores meaningful.
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
            for line, (text, fill) in enumerate(
                zip(captions(hit, ranked=ranked), ("black", "#666", "#666"), strict=True)
            ):
                draw.text((x, y + _THUMB + 2 + 13 * line), text[:_CAPTION_CHARS], fill=fill, font=font)
        if not hits:
            draw.text((_GAP, top + _TITLE), "no results", fill="#666", font=font)
        top += height
    sheet.save(path)


def captions(hit: Hit, *, ranked: bool = True) -> tuple[str, str, str]:
    """Return the lines below a hit: rank and probability or score, date, sensor and tile.

    For unranked hits, the first line is the tile.
    """
    date = hit.scene.datetime.date().isoformat() if hit.scene.datetime else "date unknown"
    if not ranked:
        return f"tile {hit.tile.id}", date, hit.scene.sensor
    sure = f"score {hit.score:.3f}" if hit.probability is None else f"{hit.probability:.0%}"
    return f"{hit.rank}.  {sure}", date, f"{hit.scene.sensor}, tile {hit.tile.id}"


def _picture(hit: Hit) -> Image.Image:
    """Return a hit's thumbnail, pale where there is no data, or a grey square if the scene cannot be read."""
    try:
        shown = Image.fromarray(thumbnail(hit.scene, hit.tile, _THUMB, transparent=True)).convert("RGBA")
    except BandsightError:
        return Image.new("RGB", (_THUMB, _THUMB), _UNREADABLE)
    under = Image.new("RGBA", shown.size, _NO_DATA)
    return Image.alpha_composite(under, shown).convert("RGB")
