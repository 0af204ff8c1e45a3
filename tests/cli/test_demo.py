import re
from dataclasses import replace

import pytest

from hookline.cli.demo import Arrival, SampleOutcome
from hookline.domain.catalogue import load_catalogue
from support.terminal import Terminal


@pytest.mark.timeout(180)
async def test_every_sample_is_delivered_verified_and_one_is_retried(terminal: Terminal) -> None:
    code, out, err = await terminal.run_anew("demo")

    assert (code, err) == (0, "")
    catalogue = load_catalogue()
    names = [kind.name for kind in catalogue.types if not catalogue.is_reserved(kind.name)]
    for name in names:
        assert re.search(rf"sent +{name} *\n", out)
        assert re.search(rf"received +{name} +✓ raw ✓ JavaScript ✓ standard →", out)
    assert re.search(r"call:completed .*→ 503\n", out)
    assert re.search(r"call:completed .*→ 200, attempt 2, the same bytes\n", out)
    assert f"{len(names)} of {len(names)} events delivered and verified, 1 after a retry." in out
    assert not terminal.data.exists()


async def test_a_running_service_may_be_the_one_that_is_shown(made_terminal: Terminal) -> None:
    service = await made_terminal.start(
        "serve", EGRESS_ALLOWED_NETWORKS="127.0.0.1/32", RETRY_DELAYS="0.1"
    )
    url = (await service.says(r"API +(http://\S+)/v1"))[1]

    code, out, err = await made_terminal.run("demo", "--url", url)

    assert (code, err) == (0, "")
    assert "delivered and verified, 1 after a retry." in out


async def test_a_service_that_may_not_deliver_to_this_machine_says_why(
    made_terminal: Terminal,
) -> None:
    service = await made_terminal.start("serve")
    url = (await service.says(r"API +(http://\S+)/v1"))[1]

    code, _, err = await made_terminal.run("demo", "--url", url)

    assert code == 1
    assert err.startswith("hookline: POST /v1/integrations was answered 422: ")
    assert "transmission.url" in err
    assert err.count("\n") == 1


async def test_a_service_that_is_not_there_is_a_sentence(made_terminal: Terminal) -> None:
    code, _, err = await made_terminal.run("demo", "--url", "http://127.0.0.1:1", "--key", "hk_x")

    assert code == 1
    assert err.startswith("hookline: http://127.0.0.1:1 does not answer")


ONCE = Arrival(body=b"{}", verified=True)
OUTCOME = SampleOutcome(
    "call:end", "delivered", None, answers=("200",), took_ms=1, arrivals=(ONCE,)
)


@pytest.mark.parametrize(
    ("outcome", "verified"),
    [
        (OUTCOME, True),
        (replace(OUTCOME, status="failed"), False),
        (replace(OUTCOME, arrivals=()), False),
        (replace(OUTCOME, arrivals=(ONCE, ONCE)), False),
        (replace(OUTCOME, answers=("503", "200"), arrivals=(ONCE, ONCE)), True),
        (
            replace(OUTCOME, answers=("503", "200"), arrivals=(ONCE, replace(ONCE, body=b"{ }"))),
            False,
        ),
        (replace(OUTCOME, arrivals=(replace(ONCE, verified=False),)), False),
    ],
)
def test_only_identical_verified_copies_for_each_attempt_count(
    outcome: SampleOutcome, *, verified: bool
) -> None:
    assert outcome.verified is verified
