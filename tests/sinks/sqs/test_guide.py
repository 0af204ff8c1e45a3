"""The consumers of docs/sqs.md, run as they are printed, on what the sink sends."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hookline.sinks.sqs import SqsSink
from support import node
from support.sqs_fake import FakeSqs
from support.sqs_shipments import SECRET, sqs_shipment

GUIDE = Path(__file__).parents[3] / "docs" / "sqs.md"
BODY = '{"id":"call-1","a":"é😀\u2028\uffff","n":1e+21}'

Message = dict[str, Any]  # as AWS's SDKs give it to a consumer
Consumer = Callable[[Message, str], object]


def printed(language: str) -> str:
    """Return the guide's example in a language."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1
    return str(blocks[0])


def in_python(message: Message, secret: str) -> object:
    space: dict[str, Any] = {}
    exec(printed("python"), space)  # noqa: S102  our own guide
    return space["event_of"](message, secret)


def in_node(message: Message, secret: str) -> object:
    call = f"eventOf({json.dumps(message)}, {json.dumps(secret)})"
    program = f"{printed('js')}\nprocess.stdout.write(JSON.stringify({call}));"
    try:
        return json.loads(node.run(program))
    except subprocess.CalledProcessError as error:
        raise ValueError(error.stderr) from error


CONSUMERS: list[Consumer] = [in_python, in_node]


@pytest.fixture
async def message(fake: FakeSqs, sink: SqsSink) -> Message:
    """A message as a consumer receives it."""
    await sink.send(sqs_shipment(body=BODY.encode()))
    (entry,) = fake.taken["orders"]
    return {"Body": entry["MessageBody"], "MessageAttributes": entry["MessageAttributes"]}


@pytest.mark.parametrize("consume", CONSUMERS)
async def test_the_printed_consumer_takes_what_was_sent(
    consume: Consumer, message: Message
) -> None:
    assert consume(message, SECRET) == json.loads(BODY)


@pytest.mark.parametrize("consume", CONSUMERS)
async def test_the_printed_consumer_refuses_what_was_changed(
    consume: Consumer, message: Message
) -> None:
    changed = {**message, "Body": message["Body"].replace("call-1", "call-2")}
    with pytest.raises(ValueError, match="not signed with our secret"):
        consume(changed, SECRET)
    with pytest.raises(ValueError, match="not signed with our secret"):
        consume(message, SECRET + "x")


def test_the_printed_policy_allows_sending_and_nothing_else() -> None:
    block = re.search(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert block is not None
    (statement,) = json.loads(block[1])["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sqs:SendMessage")
    assert statement["Resource"].startswith("arn:aws:sqs:")
