"""Traces from a sender over the queue to a receiver, as a collector gets them."""

import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from factories import an_event
from support.receivers import Receiver, answering, receiving, status
from support.service import Services, eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SENDER = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SENDER}-01"
STATE = "vendor=a:b,rojo=00f067aa0ba902b7"


@pytest.fixture
async def collector() -> AsyncIterator[Receiver]:
    async with receiving(answering(status(200))) as opened:
        yield opened


def spans(collector: Receiver) -> dict[bytes, Span]:
    """Return every span that was sent, by its id."""
    found: dict[bytes, Span] = {}
    for request in collector.requests:
        assert request.line.startswith("POST /v1/traces ")
        for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            for scope in resource.scope_spans:
                found |= {span.span_id: span for span in scope.spans}
    return found


def told(span: Span) -> dict[str, str | int]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


async def test_an_attempt_in_another_process_is_a_part_of_the_senders_trace(
    together: Services, collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"http://127.0.0.1:{collector.port}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")  # milliseconds
    together.settings |= {"TRACES": "true"}
    async with receiving(answering(status(503), status(200))) as target:
        front = await together.start("--no-engine", RETRY_DELAYS="0.05")
        await front.an_integration(target)
        context = {"traceparent": TRACEPARENT, "tracestate": STATE}
        sent = await front.api.post("/v1/events", an_event(), headers=context)
        assert sent.status_code == 202
        assert (await front.api.get("/v1/pbxs/none")).status_code == 404
        worker = await together.a_worker(RETRY_DELAYS="0.05")
        delivery = await front.settled_delivery(sent.json()["eventId"])
        assert len(delivery["attempts"]) == 2
        assert {request.headers["tracestate"] for request in target.requests} == {STATE}
        received = [request.headers["traceparent"].split("-") for request in target.requests]

        async def of_the_trace() -> list[Span]:
            return [each for each in spans(collector).values() if each.trace_id.hex() == TRACE]

        found = await eventually(of_the_trace, lambda found: len(found) >= 3)
        assert await worker.stop() == 0

        async def names() -> set[str]:
            return {each.name for each in spans(collector).values()}

        documented = {"GET /v1/pbxs/{pbx}", "GET /v1/deliveries/{deliveryId}"}
        await eventually(names, documented.issubset)
    served, *attempts = sorted(found, key=lambda span: span.start_time_unix_nano)
    assert (served.name, served.kind) == ("POST /v1/events", Span.SPAN_KIND_SERVER)
    assert served.parent_span_id.hex() == SENDER
    assert told(served)["http.response.status_code"] == 202
    assert [each.name for each in attempts] == ["POST", "POST"]
    assert {each.kind for each in attempts} == {Span.SPAN_KIND_CLIENT}
    assert {each.parent_span_id for each in attempts} == {served.span_id}
    assert [told(each)["http.response.status_code"] for each in attempts] == [503, 200]
    assert [told(each).get("error.type") for each in attempts] == ["status", None]
    assert received == [["00", TRACE, each.span_id.hex(), "01"] for each in attempts]
    everything = b"".join(request.body for request in collector.requests)
    assert b"/hook" not in everything, "a target's path may hold a key"


async def test_receivers_are_told_nothing_where_traces_are_off(together: Services) -> None:
    async with receiving() as target:
        service = await together.start()
        await service.an_integration(target)
        headers = {"traceparent": TRACEPARENT, "tracestate": STATE}
        sent = await service.api.post("/v1/events", an_event(), headers=headers)
        await service.settled(sent.json()["eventId"])
        [request] = target.requests
        assert not {"traceparent", "tracestate"} & set(request.headers)


def test_nothing_of_the_sdk_is_imported_where_traces_are_off() -> None:
    program = (
        "import sys, hookline.app, hookline.runtime, hookline.cli.serve;"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert run.stdout == b"[]\n"
