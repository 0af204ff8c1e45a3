"""`/console/` of a service that has no build of it."""

from pathlib import Path

import pytest

from hookline.api import pages
from support.api_client import Api


async def test_without_a_build_it_says_what_to_run(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "CONSOLE_FILES", tmp_path)
    for path in ("/console/", "/console/integrations", "/console/assets/index.js"):
        answer = await api.get(path, key=None)
        assert answer.status_code == 503
        assert "make console" in answer.text
