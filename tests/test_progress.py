"""How far long work has come, as its jobs report it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from bandsight.archive import Archive, ArchiveWriter
from bandsight.attributes.filters import Filter
from bandsight.catalog.labels import Classifier, Head
from bandsight.evaluation.datasets import LabelledImage
from bandsight.evaluation.evaluate import embed
from bandsight.export.pages import ResultPages
from bandsight.learning.layer_files import write_layer
from bandsight.learning.layers import Layer
from bandsight.progress import FILE_VARIABLE, counted, listening, phase, report
from bandsight.search.items import ItemQuery
from bandsight.vectors.local import ivf_build
from tests.archive.makers import filled
from tests.fakes import FakeEmbedder

ROOT = Path(__file__).parents[1]


def test_phases_are_parts_of_the_work_around_them() -> None:
    seen: list[float] = []
    with listening(seen.append):
        report(0.1)
        with phase(0.2, 0.6):
            report(0.5)
            with phase(0.5, 1.0):
                for _ in counted("ab", 2):
                    pass
        report(7)
    report(0.5)
    assert seen == pytest.approx([0.1, 0.4, 0.5, 0.6, 1.0])


def shares_of(work: Callable[[], object]) -> list[float]:
    seen: list[float] = []
    with listening(seen.append):
        work()
    return seen


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    filled(tmp_path / "archive", 12, 20).close()
    with Archive.open(tmp_path / "archive") as made:
        yield made


def test_each_long_job_reports_from_its_first_step_to_its_end(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bandsight.export.pages.PAGE", 50)
    monkeypatch.setattr("bandsight.learning.layers.PART", 40)
    monkeypatch.setattr("bandsight.evaluation.evaluate._BATCH", 2)
    monkeypatch.setattr(ivf_build, "WORTH_IT", 10)
    monkeypatch.setattr(ivf_build, "_CHUNK", 16)
    model = FakeEmbedder()
    ids = archive.tile_ids(Filter()).tolist()
    head = Head(cls="pond", weights=np.ones(16, np.float32), bias=0.0, calibrated=False)
    classifier = Classifier(
        name="ponds", version=1, created=datetime.now(UTC), model_digest=model.digest, labels=40, heads=(head,)
    )
    chances = np.full(len(ids), 0.9, np.float32)
    ponds = Layer(
        classifier=classifier, head=head, ids=np.array(ids), probabilities=chances, generation=archive.generation
    )
    pixels = np.zeros((3, 32, 32), np.uint8)
    images = [LabelledImage(key="a", pixels=pixels, wavelengths=(0.66, 0.56, 0.48), cls="a")] * 6

    def layer() -> None:
        write_layer(archive, ponds, tmp_path / "layer", 0.5)

    def compact() -> None:
        with ArchiveWriter.open(archive.path) as writer:
            writer.compact()

    def optimize() -> None:
        with ArchiveWriter.open(archive.path) as writer:
            writer.optimize()

    pages = ResultPages(archive, ItemQuery(), None, None, most=200, vectors=False)
    works = {
        "export": lambda: list(pages),
        "evaluate": lambda: embed(model, images),
        "layer": layer,
        "optimize": optimize,
        "compact": compact,
    }
    for name, work in works.items():
        shares = shares_of(work)
        assert shares == sorted(shares), name
        assert shares[-1] == pytest.approx(1.0), name
        assert len(shares) > 1 or name == "compact", name


def test_the_process_of_a_job_keeps_its_progress_in_a_file(tmp_path: Path) -> None:
    with filled(tmp_path / "archive", 3, 4):
        pass
    (tmp_path / "request.json").write_text("{}")
    command = ["-m", "bandsight.cli.job_process", "export", "--json", f"--out={tmp_path / 'x.csv'}"]
    command += ["--archive", str(tmp_path / "archive"), str(tmp_path / "request.json")]
    environment = os.environ | {FILE_VARIABLE: str(tmp_path / "progress"), "OMP_NUM_THREADS": "1"}
    with (tmp_path / "out").open("wb") as out:
        job = subprocess.Popen(
            [sys.executable, "-W", "ignore", *command], stdin=subprocess.PIPE, stdout=out, cwd=ROOT, env=environment
        )
        # It ends when its input is closed.
        assert job.wait() == 0
        job.stdin.close()
    assert (tmp_path / "out").read_text().startswith('{"file": "x.csv"')
    assert float((tmp_path / "progress").read_text()) == 1.0
