"""The metrics of a server: requests, stages of searches, queues, and the state of the archive."""

import os
import shutil
from pathlib import Path

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from bandsight.stages import Stage, add_listener, remove_listener
from search_api.admission import Admission

# From a list of ten items to an image read from a slow disk.
_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_STAGE_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_BYTES_PER_KB = 1024
MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of prometheus_client: folder in which workers share their metrics."""


class Metrics:
    """The metrics of one app."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def gauge(name: str, help_text: str, labels: tuple[str, ...] = (), mode: str = "livemostrecent") -> Gauge:
            return Gauge(name, help_text, labels, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        self.requests = Counter(
            "bandsight_http_requests", "HTTP requests", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "bandsight_http_request_seconds",
            "Time from request to last byte",
            ["method", "route"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.bytes_sent = Counter("bandsight_http_response_bytes", "Bytes of responses", ["route"], registry=registry)
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
        self.generation = gauge("bandsight_archive_generation", "Generation of the archive")
        self.vectors = gauge("bandsight_archive_vectors", "Tiles in the archive")
        self.unindexed = gauge("bandsight_archive_unindexed_vectors", "Tiles newer than the search index")
        self.has_index = gauge("bandsight_archive_has_index", "1 if the archive has a search index")
        self.disk_free = gauge("bandsight_disk_free_bytes", "Free space on the disk of the archive")
        self.jobs = gauge("bandsight_jobs", "The newest hundred jobs by status", ("status",))
        self.recall = gauge("bandsight_search_recall", "Mean recall of recent searches that were repeated exactly")
        self.index_recall = gauge(
            "bandsight_index_recall", "Recall of the index for the worst kind of query, measured by optimize", ("k",)
        )
        self.recall_checks = gauge("bandsight_search_recall_checks", "Searches repeated exactly since startup")
        self.reachable = gauge("bandsight_archive_readable", "1 if the archive could be read")
        self.started.set_to_current_time()

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
            self.disk_free.set(shutil.disk_usage(folder).free)

    def text(self) -> bytes:
        """Return the metrics of all workers in the Prometheus text format."""
        if os.environ.get(MULTIPROCESS_FOLDER):
            everything = CollectorRegistry()
            multiprocess.MultiProcessCollector(everything)  # type: ignore[no-untyped-call]
            return generate_latest(everything)
        return generate_latest(self.registry)


CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST


def resident_bytes() -> int:
    """Return the resident memory of this process, or 0 if unknown."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = next((line.split()[1] for line in lines if line.startswith("VmRSS:")), "0")
    return int(found) * _BYTES_PER_KB
