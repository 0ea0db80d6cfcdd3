"""The progress bar fits into 80 columns: how far the job is, how fast, and how long it will take."""

import io
import re

import pytest

from indexer.console import Bar
from indexer.events import JobStarted, SceneFailed, SceneOpened, TilesEncoded


def last_line(width: int, tiles: int) -> str:
    """Return the line that a bar shows in the middle of a large job."""
    out = io.StringIO()
    bar = Bar(out, width)
    with bar.bar:
        bar.on(JobStarted(scenes=12_345))
        for number in range(40):
            name = f"S2A_MSIL2A_20170617T113321_{number}_a_very_long_name_of_a_scene"
            if number % 3 == 0:
                bar.on(SceneFailed(name=name, href=name, reason="gone", opened=False))
            else:
                bar.on(SceneOpened(name=name, tiles=tiles))
                bar.on(TilesEncoded(tiles=tiles, seconds=0.01))
        bar.bar.refresh()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    return [line for line in re.split(r"[\r\n]+", plain) if "scenes" in line][-1].rstrip()


@pytest.mark.parametrize("tiles", [3, 4000, 90_000])
def test_nothing_is_cut_at_80_columns(tiles: int) -> None:
    line = last_line(80, tiles)
    assert len(line) <= 80
    assert "…" not in line
    assert line.startswith("40/12345 scenes, 14 failed ")
    assert re.search(r" \S+/\S+ tiles +(\d+/s +)?(\d+:\d\d:\d\d|-:--:--) left$", line), line


def test_a_wide_terminal_also_shows_the_scene() -> None:
    assert "S2A_MSIL2A_20170617T113321" in last_line(160, 100)
