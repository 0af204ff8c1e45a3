import re

import pytest

from hookline.domain.catalogue import load_catalogue
from support.terminal import Terminal


@pytest.mark.timeout(180)
async def test_every_sample_is_delivered_verified_and_one_is_retried(terminal: Terminal) -> None:
    code, out, err = await terminal.run("demo")

    assert (code, err) == (0, "")
    names = [kind.name for kind in load_catalogue().types]
    for name in names:
        assert re.search(rf"sent +{name} +POST /v1/events", out)
        assert re.search(rf"received +{name} +✓ raw body ✓ JavaScript ✓ Standard Webhooks", out)
    assert re.search(r"call:completed .*→ 503\n", out)
    assert re.search(r"call:completed .*→ 200, attempt 2, the same bytes\n", out)
    assert f"{len(names)} of {len(names)} events delivered and verified, 1 after a retry." in out
    assert not terminal.data.exists()
