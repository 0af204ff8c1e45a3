import copy
import json
import re

from hookline.api.reference import reference_page
from hookline.app import openapi_document
from support.api_client import Api

DOCUMENT = json.loads(openapi_document())
PAGE = reference_page(DOCUMENT)


async def test_it_is_served_to_everybody_and_runs_nothing(api: Api) -> None:
    answer = await api.get("/reference", key=None)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<script" not in answer.text
    assert answer.text == PAGE


def test_everything_of_the_document_is_on_it_once() -> None:
    anchors = re.findall(r' id="([^"]+)"', PAGE)
    assert len(anchors) == len(set(anchors))
    operations = {
        operation["operationId"]
        for item in (*DOCUMENT["paths"].values(), *DOCUMENT["webhooks"].values())
        for operation in item.values()
    }
    assert set(anchors) == operations | DOCUMENT["components"]["schemas"].keys() | {"schemas"}


def test_every_link_leads_somewhere() -> None:
    links = set(re.findall(r'href="#([^"]+)"', PAGE))
    assert links <= set(re.findall(r' id="([^"]+)"', PAGE))
    assert len(links) > 100


def test_nothing_in_the_document_becomes_markup() -> None:
    hostile = copy.deepcopy(DOCUMENT)
    text = '<img src=x onerror=alert(1)> `<b>` **<i>** "quoted"'
    hostile["info"]["description"] = text
    hostile["paths"]["/v1/events"]["get"]["description"] = text
    hostile["paths"]["/v1/events"]["get"]["summary"] = text
    page = reference_page(hostile)
    assert "<img" not in page
    assert "<code>&lt;b&gt;</code> <strong>&lt;i&gt;</strong>" in page
