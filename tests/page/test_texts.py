"""Every text of the page is in its catalogue, web/src/i18n/en.ts, so that it can be translated."""

import re
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "web" / "src"
VIEWS = sorted(SRC.glob("ui/*.tsx"))
CATALOGUE = (SRC / "i18n" / "en.ts").read_text(encoding="utf-8")
NAMES = {"Bandsight", "GeoJSON"}
"""Names that stay the same in every language."""


@pytest.mark.parametrize("path", VIEWS, ids=lambda path: path.stem)
def test_a_view_has_no_text_of_its_own(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    source = re.sub(r"<code>.*?</code>", "", re.sub(r"(?m)^\s*(//|/\*\*).*$", "", source))
    nodes = {text.strip() for text in re.findall(r"(?:\}|/?>)([^<>{}()=;&|]*[A-Za-z]{2}[^<>{}()=;&|]*)</", source)}
    attributes = re.findall(r'\b(?:aria-label|alt|label|placeholder|title|hint|what)="([^"]*[A-Za-z]{2}[^"]*)"', source)
    assert nodes | set(attributes) <= NAMES


def test_every_text_of_the_catalogue_is_used() -> None:
    used = "".join(path.read_text(encoding="utf-8") for path in SRC.rglob("*.ts*") if path.name != "en.ts")
    group, unused = "", []
    for line in CATALOGUE.partition("export const en = {")[2].splitlines():
        if opened := re.match(r"  (\w+): \{", line):
            group = opened[1]
        elif (text := re.match(r"    (\w+):", line)) and group != "licenses" and f"t.{group}.{text[1]}" not in used:
            unused.append(f"{group}.{text[1]}")
    assert not unused


def test_percentages_have_no_space() -> None:
    assert not re.findall(r"[\d}] %", CATALOGUE)
