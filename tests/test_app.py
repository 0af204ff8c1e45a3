from pathlib import Path

from hookline.app import openapi_document

COMMITTED = Path(__file__).parents[1] / "openapi" / "openapi.json"


def test_the_committed_document_is_this_versions() -> None:
    advice = "run: hookline openapi --output openapi/openapi.json"
    assert COMMITTED.read_text(encoding="utf-8") == openapi_document(), advice
