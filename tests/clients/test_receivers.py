"""The receivers of docs/receivers.md, as they are printed, against what Hookline sends."""

import json
import re
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import WebhookVerificationError

from apitools.node import NODE
from apitools.places import HERE
from hookline.domain.deliveries import Verdict
from hookline.domain.ids import new_uuid
from hookline.security.signatures import Signer, x_signature
from support import node
from support.guide_programs import LANGUAGES, Language, Running, printed, running
from support.webhook_shipments import OLD_SECRET, SECRET, webhook_shipment, webhook_sink

BODY = '{"id":"call-1","company":"it_w000001","type":"call:completed","data":{"a":"é😀"}}'.encode()


@pytest.fixture(scope="module", params=LANGUAGES, ids=lambda language: language.name)
async def receiver(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    language: Language = request.param
    if not language.is_here:
        pytest.skip(f"{language.name} is not installed here: its receiver was NOT run")
    async with running(language, tmp_path_factory.mktemp("receiver"), SECRET) as opened:
        yield opened


@pytest.mark.timeout(240)
async def test_it_takes_each_signed_event_once(receiver: Running) -> None:
    had = len(receiver.received())
    first = webhook_shipment(receiver.url, body=BODY)
    rotated = webhook_shipment(receiver.url, body=BODY, secrets=(OLD_SECRET, SECRET))
    async with webhook_sink() as sink:
        for shipment in (first, first, first, rotated):
            sent = await sink.send(shipment)
            assert (sent.verdict, sent.status_code) == (Verdict.DELIVERED, 204)
        foreign = await sink.send(webhook_shipment(receiver.url, body=BODY, secrets=(OLD_SECRET,)))
        last = webhook_shipment(receiver.url, body=BODY)
        assert (await sink.send(last)).verdict is Verdict.DELIVERED
    assert (foreign.verdict, foreign.status_code) == (Verdict.REJECTED, 401)
    assert len(await receiver.until_received(had + 3)) == had + 3


async def test_it_takes_a_long_transcript_and_survives_what_is_longer(receiver: Running) -> None:
    long, too_long = (b'{"id":"t","type":"x","data":"%s"}' % (b"a" * n) for n in (10**6, 3 * 10**6))
    async with webhook_sink() as sink:
        taken = await sink.send(webhook_shipment(receiver.url, body=long))
        await sink.send(webhook_shipment(receiver.url, body=too_long))
        after = await sink.send(webhook_shipment(receiver.url, body=BODY))
    assert [taken.verdict, after.verdict] == [Verdict.DELIVERED, Verdict.DELIVERED]


@pytest.mark.parametrize("forged", ["replayed", "changed", "renamed", "unsigned"])
async def test_it_refuses_what_was_recorded_or_changed(receiver: Running, forged: str) -> None:
    sent = int(time.time()) - (3600 if forged == "replayed" else 0)
    delivery = str(new_uuid())
    headers = {
        "content-type": "application/json",
        "webhook-id": delivery,
        "webhook-timestamp": str(sent),
        "webhook-signature": Signer([SECRET]).standard_webhooks(delivery, sent, BODY),
    }
    if forged == "renamed":
        headers["webhook-id"] = str(new_uuid())
    if forged == "unsigned":
        headers = {"content-type": "application/json"}
    body = BODY.replace(b"call-1", b"call-2") if forged == "changed" else BODY
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(receiver.url, content=body, headers=headers)
    assert answer.status_code == 401


def test_every_receiver_of_the_guide_is_run() -> None:
    guide = (Path(__file__).parents[2] / "docs/receivers.md").read_text(encoding="utf-8")
    section = guide.partition("## Receivers\n")[2].partition("\n## ")[0]
    assert re.findall(r"^### (.+)$", section, re.MULTILINE) == [each.name for each in LANGUAGES]


def signed(body: bytes = BODY) -> dict[str, str]:
    delivery, now = str(new_uuid()), int(time.time())
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(now),
        "webhook-signature": Signer([SECRET]).standard_webhooks(delivery, now, body),
    }


def test_the_python_library_takes_what_was_signed() -> None:
    space: dict[str, Any] = {}
    exec(printed("With the Standard Webhooks libraries", "python"), space)  # noqa: S102  our guide
    assert space["event_of"](signed(), BODY, SECRET) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        space["event_of"](signed(), BODY.replace(b"1", b"2"), SECRET)


def run_beside_packages(program: str) -> str:
    """Run a module's text where the npm packages are; raise CalledProcessError where it throws."""
    return subprocess.run(
        [NODE, "--input-type=module", "-e", program],
        cwd=HERE,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    ).stdout


def test_the_node_library_takes_what_was_signed() -> None:
    program = printed("With the Standard Webhooks libraries", "js")
    call = f"eventOf({json.dumps(signed())}, {json.dumps(BODY.decode())}, {json.dumps(SECRET)})"
    said = run_beside_packages(f"{program}\nconsole.log(JSON.stringify({call}));")
    assert json.loads(said) == json.loads(BODY)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run_beside_packages(f"{program}\n{call.replace('call-1', 'call-2')};")
    assert "WebhookVerificationError" in failed.value.stderr


@pytest.mark.parametrize(("secret", "holds"), [(SECRET, True), (OLD_SECRET, False)])
def test_x_signature_is_checked_as_printed(secret: str, *, holds: bool) -> None:
    heading = "Checking x-signature instead"
    given = x_signature(SECRET, BODY)
    space: dict[str, Any] = {}
    exec(printed(heading, "python"), space)  # noqa: S102  our own guide
    assert space["is_signed"](BODY, given, secret) is holds
    call = f"isSigned({json.dumps(BODY.decode())}, {json.dumps(given)}, {json.dumps(secret)})"
    said = node.run(f"{printed(heading, 'js')}\nconsole.log({call});")
    assert said.strip() == json.dumps(holds)
