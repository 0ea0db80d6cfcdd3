"""Traces of requests, received as an OpenTelemetry collector receives them."""

import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bandsight.errors import SettingsError
from search_api import tracing
from search_api.settings import load_settings

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.received.append((self.path, ExportTraceServiceRequest.FromString(body)))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any]]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.received = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield server.received  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_search_is_a_span_with_its_stages_inside_and_belongs_to_the_caller_s_trace(
    serve: Callable[..., TestClient], received: list[tuple[str, Any]]
) -> None:
    with serve(traces=True) as client:
        headers = {"traceparent": f"00-{CALLER}-00f067aa0ba902b7-01"}
        assert client.get("/search", params={"q": "a lake"}, headers=headers).status_code == 200
        assert client.get("/healthz").status_code == 200
    (resource,) = received[0][1].resource_spans
    spans = [span for _, request in received for r in request.resource_spans for s in r.scope_spans for span in s.spans]
    assert {path for path, _ in received} == {"/v1/traces"}
    assert {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"] == "bandsight"
    (root,) = [span for span in spans if span.name == "GET /search"]
    assert root.trace_id.hex() == CALLER
    stages = {span.name: span for span in spans if span.name.startswith("bandsight.")}
    assert {"bandsight.filter", "bandsight.search"} <= set(stages)
    for span in stages.values():
        assert (span.trace_id, span.parent_span_id) == (root.trace_id, root.span_id)
        assert root.start_time_unix_nano <= span.end_time_unix_nano <= root.end_time_unix_nano
    assert not [span for span in spans if "healthz" in span.name]


def test_no_traces_are_sent_unless_they_are_asked_for(
    serve: Callable[..., TestClient], received: list[tuple[str, Any]]
) -> None:
    with serve() as client:
        assert client.get("/search", params={"q": "a lake"}).status_code == 200
    assert received == []


def test_traces_without_the_package_are_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"BANDSIGHT_TRACES: OpenTelemetry is not installed; run: pip install"):
        load_settings(traces=True)
