"""One entry in the registry of fields, a migration, and somebody who computes it: that is all a new field needs."""

import os
import subprocess
import sys
from pathlib import Path

from tests.archive.makers import filled

ROOT = Path(__file__).parents[2]
# In a process of its own: the registry is read when the catalog's tables are imported.
SCRIPT = '''
import sys
from dataclasses import replace
from pathlib import Path

from bandsight.attributes.fields import FIELDS, Field

FIELDS.add(
    Field(of="tile", name="snow_fraction", stac_name="bandsight:snow_fraction", description="Share of snow", minimum=0,
          maximum=1, places=2)
)

import numpy as np

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.admin import repair, verify
from bandsight.attributes.cql2 import parse_text, to_filter
from bandsight.attributes.filters import Filter, Property
from bandsight.catalog.sqlite.database import open_engine
from bandsight.search.listing import browse
from bandsight.search.ranking import nearest
from bandsight.search.listing import Key
from bandsight.stac.documents import queryables
from bandsight.stac.items import Root, tile_item
from tests.archive.makers import entry, vectors

path = Path(sys.argv[1])
# The migration.
engine = open_engine(path / "catalog.sqlite")
with engine.connect() as connection, connection.begin():
    connection.exec_driver_sql("ALTER TABLE tiles ADD COLUMN snow_fraction DOUBLE")
engine.dispose()


def snowy(number):
    """Whoever computes it."""
    scene, tiles, rows = entry(number)
    return scene, [replace(t, attributes={"snow_fraction": n / 4 if n else None}) for n, t in enumerate(tiles)], rows


def found(archive, where):
    return sorted(hit.tile.id for hit in nearest(archive, vectors(1, 1), 1000, where)[0])


with ArchiveWriter.open(path) as archive:
    old = found(archive, Filter())
    # Tiles from before have none; their columns are written anew.
    is_null = Filter(properties=(Property(name="bandsight:snow_fraction", op="is null"),))
    assert found(archive, is_null) == old and found(archive, ~is_null) == []
    archive.add([snowy(20), snowy(21)])
    first = max(old) + 1
    assert verify(archive, full=True) == []

with Archive.open(path) as archive:
    some = [first + 1, first + 5]
    # Filter and CQL2.
    for op, value, expected in (
        ("=", 0.25, some), ("<", 0.5, some), ("in", (0.25, 7.0), some), (">", 0.6, [first + 3, first + 7])
    ):
        condition = Property(name="bandsight:snow_fraction", op=op, value=value)
        assert found(archive, Filter(properties=(condition,))) == expected
    for text, expected in (
        ("bandsight:snow_fraction < 0.3", some),
        ("NOT bandsight:snow_fraction >= 0.3", some),
        ("bandsight:snow_fraction BETWEEN 0.2 AND 0.3", some),
        ("bandsight:snow_fraction IS NULL", [*old, first, first + 4]),
    ):
        assert found(archive, to_filter(parse_text(text), "tile")) == expected, text
    # Queryable with its schema.
    schema = queryables(Root(server="http://x"), {})["properties"]["bandsight:snow_fraction"]
    assert schema == {"type": "number", "description": "Share of snow", "minimum": 0, "maximum": 1}
    # Sort key, page by page; what lacks it is last.
    for descending in (False, True):
        order, after, shown = [Key(name="bandsight:snow_fraction", descending=descending)], None, []
        while True:
            page = browse(archive, 3, Filter(scenes=(7, 8)), None, order, after=after)
            shown += [tile.id - first for tile, _ in page.rows]
            after = page.next
            if after is None:
                break
        assert shown == ([3, 7, 2, 6, 1, 5, 0, 4] if descending else [1, 5, 2, 6, 3, 7, 0, 4]), shown
    # STAC property, and the catalog's row.
    tile = archive.tile(first + 3)
    assert tile.attributes == {"snow_fraction": 0.75}
    item = tile_item(tile, archive.scene(tile.scene_id), None)
    assert item["properties"]["bandsight:snow_fraction"] == 0.75
    nothing = tile_item(archive.tile(first), archive.scene(tile.scene_id), None)
    assert "bandsight:snow_fraction" not in nothing["properties"]
    # Column: from the file, without asking the catalog.
    selection = archive.read(lambda view: view.select(Filter(scenes=(7,)), ["snow_fraction"]))
    np.testing.assert_array_equal(selection.values["snow_fraction"], [np.nan, 0.25, 0.5, 0.75])
    assert archive.read(lambda view: view.store.verify(full=True)) == []
assert repair(path) == []
# A flipped value is found by the row's checksum.
engine = open_engine(path / "catalog.sqlite")
with engine.connect() as connection, connection.begin():
    connection.exec_driver_sql(f"UPDATE tiles SET snow_fraction = 0.3 WHERE id = {first + 1}")
engine.dispose()
with Archive.open(path) as archive:
    assert any("does not match its checksum" in problem for problem in verify(archive, full=True))
print("done")
'''


def test_one_entry_gives_column_filter_cql2_queryable_sort_key_and_stac_property(tmp_path):
    filled(tmp_path / "a", 6).close()
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path / "a")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert run.stdout.strip() == "done", run.stderr[-3000:]
