"""Spans of attempts: what a message to a queue is called, whose child it is and what goes along."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id

from hookline.domain.deliveries import ErrorKind, Sent, Verdict
from hookline.domain.targets import SqsTarget, Target
from hookline.sinks import Shipment
from hookline.sinks.sqs.messages import entry_for
from hookline.sinks.traced import TracedSink
from hookline.tracing import Tracing, trace_context
from support.sqs_shipments import sqs_shipment

TRACE, SENDER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SENDER}-01"


class Queue:
    """A sink that notes what it is given, and answers what a test wants."""

    def __init__(self, error: ErrorKind | None) -> None:
        self.error = error
        self.shipped: list[Shipment] = []

    async def send(self, shipment: Shipment) -> Sent:
        self.shipped.append(shipment)
        verdict = Verdict.DELIVERED if self.error is None else Verdict.RETRY
        return Sent(verdict, datetime.now(UTC), 1, self.error, 200)

    async def forget(self, target: Target) -> None:
        raise AssertionError(target)

    async def aclose(self) -> None:
        """Close nothing."""


@pytest.mark.parametrize("error", [None, ErrorKind.TIMEOUT])
@pytest.mark.parametrize("state", [None, "vendor=1"])
async def test_a_message_to_a_queue_is_a_producers_span(
    error: ErrorKind | None, state: str | None
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    queue = Queue(error)
    sink = TracedSink(queue, Tracing(provider))
    sent = sqs_shipment("pbx-events")
    await sink.send(replace(sent, trace_context=trace_context(PARENT, state)))
    [span] = exporter.get_finished_spans()
    assert (span.name, span.kind) == ("send pbx-events", SpanKind.PRODUCER)
    assert span.parent is not None
    assert format_span_id(span.parent.span_id) == SENDER
    attributes = dict(span.attributes or {})
    assert attributes["messaging.system"] == "aws_sqs"
    assert attributes["messaging.destination.name"] == "pbx-events"
    assert attributes["hookline.delivery.id"] == str(sent.delivery_id)
    assert attributes.get("error.type") == (None if error is None else error.value)
    assert (span.status.status_code is StatusCode.ERROR) is (error is not None)
    context = span.get_span_context()
    assert context is not None
    assert format_trace_id(context.trace_id) == TRACE
    [shipped] = queue.shipped
    assert isinstance(shipped.target, SqsTarget)
    entry, _ = entry_for(shipped, shipped.target, group=None)
    told = {name: each["StringValue"] for name, each in entry["MessageAttributes"].items()}
    assert told["traceparent"] == f"00-{TRACE}-{format_span_id(context.span_id)}-01"
    assert told.get("tracestate") == state
    assert len(told) <= 10, "SQS takes no more"
