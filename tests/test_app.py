from apitools.places import DOCUMENT
from hookline.app import openapi_document


def test_the_committed_document_is_this_versions() -> None:
    advice = "run: hookline openapi --output openapi/openapi.json"
    assert DOCUMENT.read_text(encoding="utf-8") == openapi_document(), advice
