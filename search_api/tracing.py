"""Traces of requests, sent with OpenTelemetry: a span for each request, and in it one for each stage of its search."""

import importlib.util
import os
import time
from collections.abc import Callable

from fastapi import FastAPI

from bandsight import __version__
from bandsight.errors import SettingsError
from bandsight.work import Stage, add_listener, remove_listener

# Monitoring asks for these every few seconds.
_UNTRACED = "healthz,readyz,startupz,metrics,static"


def check_tracing() -> list[str]:
    """Return why traces cannot be sent here; empty if they can."""
    if importlib.util.find_spec("opentelemetry.instrumentation.fastapi") is None:
        return ["BANDSIGHT_TRACES: OpenTelemetry is not installed; run: pip install 'bandsight[tracing]'"]
    return []


def trace_requests(*apps: FastAPI) -> Callable[[], None]:
    """Trace the requests of apps that have not started; return what sends the last traces and stops.

    Where traces go and how many are kept is up to OpenTelemetry's own variables, e.g. OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_HEADERS and OTEL_TRACES_SAMPLER.

    Raises:
        SettingsError: One of those variables cannot be used.
    """
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    try:
        name = os.environ.get("OTEL_SERVICE_NAME", "bandsight")
        provider = TracerProvider(resource=Resource.create({"service.name": name, "service.version": __version__}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except ValueError as error:
        raise SettingsError(f"BANDSIGHT_TRACES: {error}; check the variables that begin with OTEL_") from error
    for app in apps:
        FastAPIInstrumentor.instrument_app(
            app, tracer_provider=provider, excluded_urls=_UNTRACED, exclude_spans=["receive", "send"]
        )
    tracer = provider.get_tracer("bandsight")

    def add_stage(name: Stage, seconds: float) -> None:
        # Stages outside of a traced request have no parent span.
        if trace.get_current_span().is_recording():
            end = time.time_ns()
            tracer.start_span(f"bandsight.{name}", start_time=end - round(seconds * 1e9)).end(end)

    def stop() -> None:
        remove_listener(add_stage)
        provider.shutdown()

    add_listener(add_stage)
    return stop
