"""Indexing on a Ray cluster whose nodes and drivers are killed: nothing lost, nothing doubled."""

import json
import os
import subprocess
import sys

import psutil
import pytest

from bandsight.archive import Archive, ArchiveWriter
from indexer.events import CheckpointSaved, Committed, Note, TilesEncoded
from indexer.pipeline import index
from indexer.progress import NullProgress
from tests.cluster.ray_jobs import CPUS, ray_executor
from tests.cluster.ray_nodes import ray_processes, wait_until
from tests.cluster.test_sharing import on_postgres
from tests.indexer.conftest import identity
from tests.indexer.test_executor import assert_same, contents, scenes_in
from tests.rasters import picture, write

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Three small scenes, one that is large enough for many reads, and one that is no raster."""
    folder = scenes_in(tmp_path_factory.mktemp("scenes"))
    write(folder / "large.tif", picture(3, 1600, 1600, seed=9), origin=(500_000, 5_800_000))
    return folder


@pytest.fixture
def expected(scenes, encoder, tmp_path):
    """The same scenes, indexed by the local executor."""
    with ArchiveWriter.create(tmp_path / "local", identity(encoder)) as local:
        index([scenes], archive=local, model=encoder)
        yield local


class At(NullProgress):
    """Does something once so many tiles have vectors, of so many workers, and keeps what was noted."""

    def __init__(self, tiles, do, workers=1):
        self._tiles, self._do, self._workers, self.notes = tiles, do, workers, []

    def on(self, event):
        match event:
            case Note():
                self.notes.append(event.text)
            case TilesEncoded():
                self._tiles -= event.tiles
                begun = sum(text.startswith("Ray worker on ") for text in self.notes)
                if self._do and self._tiles <= 0 and begun >= self._workers:
                    do, self._do = self._do, None
                    do()


def test_a_node_that_dies_costs_nothing_but_time(ray_cluster, archive, encoder, tmp_path):
    folder = scenes_in(tmp_path / "in", 16, 320)
    progress = At(200, ray_cluster.kill_node, workers=2)
    # One on each node; what is left keeps both busy for long enough that the death is seen.
    executor = ray_executor(ray_cluster.address, progress, seconds=0.7, loads=str(tmp_path / "loads"), cpus=1.0)
    summary = index([folder], archive=archive, model=encoder, executor=executor, progress=progress)
    assert any("was lost, its tiles are read again" in text for text in progress.notes), progress.notes
    assert [name for name, _ in summary.failed] == ["broken.tif"]
    with ArchiveWriter.create(tmp_path / "local", identity(encoder)) as local:
        index([folder], archive=local, model=encoder)
        assert_same(archive, local)
    loads = (tmp_path / "loads").read_text().split()
    assert len(loads) == len(set(loads)), "the encoder is loaded once by each worker"
    assert wait_until(lambda: not [one for one in ray_processes() if "Worker" in one])


def test_a_stopped_job_leaves_no_worker_and_goes_on_where_it_was(ray_cluster, scenes, expected, archive, encoder):
    saved = []

    def stop():
        raise KeyboardInterrupt

    progress = At(1500, stop, workers=0)
    executor = ray_executor(ray_cluster.address, seconds=0.05)
    with pytest.raises(KeyboardInterrupt):
        index([scenes], archive=archive, model=encoder, executor=executor, progress=progress)
    assert wait_until(lambda: not [one for one in ray_processes() if "Worker" in one])
    assert archive.jobs.newest(1)[0].state == "dismissed"

    class Seen(NullProgress):
        def on(self, event):
            if isinstance(event, Committed | CheckpointSaved):
                saved.append(event.tiles)

    index([scenes], archive=archive, model=encoder, executor=ray_executor(ray_cluster.address), progress=Seen())
    assert_same(archive, expected)


def start(archive, address, seconds, *paths):
    """Start a driver in a process of its own."""
    command = [sys.executable, "-m", "tests.cluster.ray_jobs", str(archive), address, str(seconds), *map(str, paths)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ))


def scenes_of(target):
    with Archive.open(target) as opened:
        return opened.stats()["scenes"]


def ended(process):
    """Return the summary of a driver."""
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return json.loads(said.splitlines()[-1])


def test_drivers_share_an_archive_and_the_scenes_of_one_that_is_killed(
    ray_cluster, scenes, expected, encoder, postgres_server, tmp_path
):
    target = on_postgres(tmp_path / "a", postgres_server)
    ArchiveWriter.create(target, identity(encoder)).close()
    others = sorted(scenes.glob("[0-9].tif"))
    killed = start(target, ray_cluster.address, 0.3, scenes / "large.tif", *others)
    for line in killed.stdout:
        if '"saved"' in line or '"opened"' in line:
            break
    drivers = [
        start(target, ray_cluster.address, 0.02, *others[:2], scenes / "large.tif", scenes / "broken.tif"),
        start(target, ray_cluster.address, 0.02, *reversed(others), scenes / "large.tif"),
    ]
    # While both wait for what the first one is at work on.
    assert wait_until(lambda: scenes_of(target) >= len(others), 120)
    killed.kill()
    killed.communicate()
    first, second = (ended(driver) for driver in drivers)
    with Archive.open(target) as cluster:
        assert first["tiles"] + second["tiles"] <= len(contents(cluster)[0])
        assert_same(cluster, expected)
    assert [one["scene"] for one in first["failed"]] == ["broken.tif"]
    assert second["failed"] == []


def test_the_command_indexes_on_a_cluster_with_the_real_model(ray_cluster, tmp_path):
    write(tmp_path / "in" / "0.tif", picture(3, 300, 300), origin=(400_000, 5_800_000))
    command = [sys.executable, "-m", "bandsight.cli", "index", str(tmp_path / "in"), "--archive", str(tmp_path / "a")]
    command += ["--json", "--executor", "ray", "--ray-address", ray_cluster.address, "--ray-workers", "1"]

    def run(cpus):
        return subprocess.run([*command, "--ray-cpus", cpus], capture_output=True, text=True, check=False)

    refused = run("64")
    assert refused.returncode == 1
    assert refused.stderr.startswith("bandsight: --ray-cpus 64: no machine of the Ray cluster has so many cores")
    done = run(str(CPUS))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["scenes"] == 1


def test_ray_listens_on_this_machine_alone(ray_cluster):
    mine = {one.pid for one in psutil.Process().children(recursive=True) if "ray" in " ".join(one.cmdline()[:1])}
    listening = {one.laddr.ip for one in psutil.net_connections("inet") if one.pid in mine and one.status == "LISTEN"}
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}
