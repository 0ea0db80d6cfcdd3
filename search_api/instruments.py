"""The metrics of a server: requests, stages of searches, queues, and the state of the archive."""

import copy
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest, multiprocess
from prometheus_client.registry import Collector

from bandsight.work import Stage, add_listener, remove_listener
from search_api.admission import Admission

# From a list of ten items to an image read from a slow disk.
_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_STAGE_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_BYTES_PER_KB = 1024
MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of prometheus_client: folder in which workers share their metrics."""


class Metrics:
    """The metrics of a server; those of a request or an archive have the label `archive` if it serves several."""

    def __init__(self, *, several: bool = False) -> None:
        """Create the metrics.

        Args:
            several: Whether there are several archives; `of_archive` returns the metrics of each.
        """
        self.registry = registry = CollectorRegistry()
        self.archive: str | None = None
        own = ("archive",) if several else ()

        def gauge(name: str, help_text: str, labels: tuple[str, ...] = (), mode: str = "livemostrecent") -> Gauge:
            return Gauge(name, help_text, labels, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        def of_archives(name: str, help_text: str, *labels: str) -> Gauge:
            return gauge(name, help_text, (*own, *labels))

        self._requests = Counter(
            "bandsight_http_requests", "HTTP requests", [*own, "method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "bandsight_http_request_seconds",
            "Time from request to last byte",
            [*own, "method", "route"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._bytes_sent = Counter(
            "bandsight_http_response_bytes", "Bytes of responses", [*own, "route"], registry=registry
        )
        self.refused = Counter(
            "bandsight_http_refused",
            "Requests rejected before they ran: queue (too many waiting), rate (client limit), key (missing, wrong or "
            "insufficient)",
            ["reason"],
            registry=registry,
        )
        self.gone = Counter(
            "bandsight_http_abandoned", "Requests whose client disconnected before their turn", registry=registry
        )
        self.stages = Histogram(
            "bandsight_stage_seconds",
            "Time of a stage: encode, filter, search, rescore, render",
            ["stage"],
            buckets=_STAGE_BUCKETS_S,
            registry=registry,
        )
        self.waiting = gauge("bandsight_queue_waiting", "Waiting requests", ("work",), "livesum")
        self.running = gauge("bandsight_queue_running", "Running requests", ("work",), "livesum")
        self.reserved = gauge("bandsight_memory_reserved_bytes", "Memory reserved by requests", mode="livesum")
        self.resident = gauge("bandsight_process_resident_bytes", "Resident memory of the process", mode="livesum")
        self.started = gauge("bandsight_process_start_time_seconds", "Start of the process, Unix time", mode="livemin")
        self.generation = of_archives("bandsight_archive_generation", "Generation of the archive")
        self.vectors = of_archives("bandsight_archive_vectors", "Tiles in the archive")
        self.unindexed = of_archives("bandsight_archive_unindexed_vectors", "Tiles newer than the search index")
        self.has_index = of_archives("bandsight_archive_has_index", "1 if the archive has a search index")
        self.disk_free = of_archives("bandsight_disk_free_bytes", "Free space on the disk of the archive")
        self.jobs = of_archives("bandsight_jobs", "The newest hundred jobs by status", "status")
        self.recall = of_archives("bandsight_search_recall", "Mean recall of searches that were repeated exactly")
        self.index_recall = of_archives(
            "bandsight_index_recall", "Recall of the index for the worst kind of query, measured by optimize", "k"
        )
        self.recall_checks = of_archives("bandsight_search_recall_checks", "Searches repeated exactly since startup")
        self.reachable = of_archives("bandsight_archive_readable", "1 if the archive could be read")
        self.started.set_to_current_time()

    def of_archive(self, name: str) -> "Metrics":
        """Return these metrics with the name of an archive as label."""
        made = copy.copy(self)
        made.archive = name
        return made

    def request(self, method: str, route: str, status: int, seconds: float, sent: int) -> None:
        """Record a request.

        Args:
            method: HTTP method.
            route: Path of the route.
            status: Status of the response.
            seconds: Time from request to last byte.
            sent: Bytes of the response.
        """
        own = () if self.archive is None else (self.archive,)
        self._requests.labels(*own, method, route, status).inc()
        self._seconds.labels(*own, method, route).observe(seconds)
        self._bytes_sent.labels(*own, route).inc(sent)

    def set(self, gauge: Gauge, value: float, *labels: str) -> None:
        """Set a figure of the archive."""
        own = () if self.archive is None else (self.archive,)
        (gauge.labels(*own, *labels) if own or labels else gauge).set(value)

    def listen(self) -> None:
        """Start recording stages."""
        add_listener(self._stage)

    def stop(self) -> None:
        """Stop recording stages."""
        remove_listener(self._stage)

    def _stage(self, name: Stage, seconds: float) -> None:
        self.stages.labels(name).observe(seconds)

    def set_process(self, admission: Admission, folder: Path | None) -> None:
        """Update the metrics of queues, memory and disk."""
        for work, count in admission.waiting().items():
            self.waiting.labels(work).set(count)
        for work, count in admission.running().items():
            self.running.labels(work).set(count)
        self.reserved.set(admission.memory_used)
        self.resident.set(resident_bytes())
        if folder is not None and folder.exists():
            self.set(self.disk_free, shutil.disk_usage(folder).free)

    def text(self, archives: Collection[str] | None = None) -> bytes:
        """Return the metrics of all workers in the Prometheus text format.

        Args:
            archives: Only metrics of these archives, and those of the processes; None for all.
        """
        collected: Collector = self.registry
        if os.environ.get(MULTIPROCESS_FOLDER):
            collected = multiprocess.MultiProcessCollector(CollectorRegistry())  # type: ignore[no-untyped-call]
        return generate_latest(_Chosen(collected, archives))


class _Chosen(Collector):
    """The metrics of some archives, for `generate_latest`."""

    def __init__(self, collected: Collector, archives: Collection[str] | None) -> None:
        self._collected, self._archives = collected, archives

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        for metric in self._collected.collect():
            if self._archives is not None:
                metric.samples = [one for one in metric.samples if one.labels.get("archive") in {None, *self._archives}]
            yield metric


CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST


def resident_bytes() -> int:
    """Return the resident memory of this process, or 0 if unknown."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = next((line.split()[1] for line in lines if line.startswith("VmRSS:")), "0")
    return int(found) * _BYTES_PER_KB
