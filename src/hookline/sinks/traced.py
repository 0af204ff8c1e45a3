"""Traces a sink: each attempt is a span, of an HTTP client or of a producer of messages."""

from msgspec.structs import replace

from hookline.domain.deliveries import Sent
from hookline.domain.targets import SqsTarget, Target, WebhookTarget
from hookline.errors import InvalidInput
from hookline.security.egress.urls import parse_url
from hookline.sinks import Shipment, Sink
from hookline.sinks.sqs.urls import parse_queue_url
from hookline.tracing import Attributes, Tracing, fail


class TracedSink:
    """Does what another sink does, each attempt in a span that the event's request led to."""

    def __init__(self, sink: Sink, tracing: Tracing) -> None:
        self._sink = sink
        self._tracing = tracing

    async def send(self, shipment: Shipment) -> Sent:
        """Send once; the receiver is told of the attempt's span."""
        name, attributes = _described(shipment)
        message = isinstance(shipment.target, SqsTarget)
        parent = shipment.trace_context
        with self._tracing.calling(name, attributes, parent, message=message) as span:
            own = replace(shipment, trace_context=self._tracing.current())
            sent = await self._sink.send(own)
            if sent.status_code is not None:
                span.set_attribute("http.response.status_code", sent.status_code)
            if sent.error is not None:
                fail(span, sent.error.value)
        return sent

    async def forget(self, target: Target) -> None:
        """See `Sink.forget`."""
        await self._sink.forget(target)

    async def aclose(self) -> None:
        """See `Sink.aclose`."""
        await self._sink.aclose()


def _described(shipment: Shipment) -> tuple[str, Attributes]:
    """Return a span's name and attributes; of a URL its origin alone, the rest may be a secret."""
    ours: Attributes = {
        "hookline.delivery.id": str(shipment.delivery_id),
        "hookline.event.type": shipment.event_type,
    }
    try:
        match shipment.target:
            case WebhookTarget(url=url):
                origin = parse_url(url).origin
                return "POST", {
                    **ours,
                    "http.request.method": "POST",
                    "server.address": origin.host,
                    "server.port": origin.port,
                }
            case SqsTarget(url=url):
                queue = parse_queue_url(url)
                return f"send {queue.name}", {
                    **ours,
                    "messaging.system": "aws_sqs",
                    "messaging.operation.name": "SendMessage",
                    "messaging.operation.type": "send",
                    "messaging.destination.name": queue.name,
                }
    except InvalidInput:  # a URL that was kept under earlier rules: it is never called
        return "POST", ours
