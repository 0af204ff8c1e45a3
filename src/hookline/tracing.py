"""OpenTelemetry traces, where TRACES is on: without it nothing of OpenTelemetry's SDK is imported.

The exporter and the sampler are OpenTelemetry's own, set by its own OTEL_… variables. No exception
and no URL's path or query of a target is recorded: they may hold what customers keep secret.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from hookline import __version__
from hookline.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, SpanKind

Attributes = Mapping[str, str | int]

_PARENT: Final = "traceparent"  # https://www.w3.org/TR/trace-context/
_STATE: Final = "tracestate"
_MISSING: Final = (
    "HOOKLINE_TRACES is on, and OpenTelemetry is not installed: pip install 'hookline[otel]'."
)


class Tracing:
    """Starts spans, and hands their context on as one text; `trace_headers` takes it apart."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - see above
            TraceContextTextMapPropagator,
        )

        self._provider = provider
        self._tracer = provider.get_tracer("hookline", __version__)
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def serving(self, name: str, attributes: Attributes, parent: str | None) -> "Iterator[Span]":
        """Start a span for a request that is answered here; it is the current one meanwhile."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415

        with self._span(name, SpanKind.SERVER, attributes, parent) as span:
            yield span

    @contextmanager
    def calling(
        self, name: str, attributes: Attributes, parent: str | None, *, message: bool
    ) -> "Iterator[Span]":
        """Start a span for a request to somebody else, or a `message` to a queue."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415

        kind = SpanKind.PRODUCER if message else SpanKind.CLIENT
        with self._span(name, kind, attributes, parent) as span:
            yield span

    @contextmanager
    def _span(
        self, name: str, kind: "SpanKind", attributes: Attributes, parent: str | None
    ) -> "Iterator[Span]":
        from opentelemetry.context import Context  # noqa: PLC0415

        # Never the context of the task that happens to run this: deliveries are not their cause.
        carrier = dict(trace_headers(parent)) if parent else {}
        context = self._propagator.extract(carrier, Context())
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=kind,
            attributes=dict(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield span

    def current(self) -> str | None:
        """Return the context of the current span; None where there is none."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return trace_context(carrier.get(_PARENT), carrier.get(_STATE))

    def close(self) -> None:
        """Send what is left, for a few seconds at the most."""
        self._provider.shutdown()


def trace_context(traceparent: str | None, tracestate: str | None) -> str | None:
    """Return one text of both headers: a `tracestate` means nothing without a `traceparent`."""
    return f"{traceparent}\n{tracestate}" if traceparent and tracestate else traceparent


def trace_headers(context: str) -> list[tuple[str, str]]:
    """Return the headers that one text was made of."""
    return list(zip((_PARENT, _STATE), context.split("\n"), strict=False))


def fail(span: "Span", error_type: str) -> None:
    """Note that what a span is about has failed."""
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR))


def open_tracing() -> Tracing:
    """Open the exporter that OpenTelemetry's own variables describe. Raises ConfigurationError."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(_MISSING) from error
    resource = Resource.create({"service.name": "hookline", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)
