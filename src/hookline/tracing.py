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

_HEADER: Final = "traceparent"  # https://www.w3.org/TR/trace-context/
_MISSING: Final = (
    "HOOKLINE_TRACES is on, and OpenTelemetry is not installed: pip install 'hookline[otel]'."
)


class Tracing:
    """Starts spans, and hands their context on as the text of a `traceparent` header."""

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
        context = self._propagator.extract({_HEADER: parent} if parent else {}, Context())
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=kind,
            attributes=dict(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield span

    def traceparent(self) -> str | None:
        """Return the current span as a header's value; None where there is none."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get(_HEADER)

    def close(self) -> None:
        """Send what is left, for a few seconds at the most."""
        self._provider.shutdown()


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
