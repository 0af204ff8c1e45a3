import pytest

from factories import a_queue, a_webhook
from support.api_client import Api, Keys

ALL = "/v1/integrations"


async def create(api: Api, count: int, **changes: object) -> list[str]:
    """Return the ids of new integrations, newest first."""
    made = [(await api.post(ALL, a_webhook(**changes))).json()["id"] for _ in range(count)]
    return made[::-1]


async def test_pages_follow_each_other_while_rows_are_added(api: Api) -> None:
    ids = await create(api, 5, pbx="page")
    first = (await api.get(f"{ALL}?pbx=page&limit=2")).json()
    added = await create(api, 2, pbx="page")
    second = (await api.get(f"{ALL}?pbx=page&limit=2&cursor={first['next']}")).json()
    await api.delete(f"{ALL}/{ids[3]}")
    third = (await api.get(f"{ALL}?pbx=page&limit=2&cursor={second['next']}")).json()
    pages = [[item["id"] for item in page["items"]] for page in (first, second, third)]
    assert pages == [ids[0:2], ids[2:4], ids[4:5]]
    assert third["next"] is None
    newest = (await api.get(f"{ALL}?pbx=page")).json()
    assert [item["id"] for item in newest["items"]] == added + ids[:3] + ids[4:]


async def test_a_full_last_page_is_the_last(api: Api) -> None:
    await create(api, 2, pbx="full")
    assert (await api.get(f"{ALL}?pbx=full&limit=2")).json()["next"] is None


async def test_filters_choose(api: Api) -> None:
    [webhook] = await create(api, 1, pbx="filters", company="it_filters")
    queue = (await api.post(ALL, a_queue(pbx="filters", enabled=False))).json()["id"]

    async def listed(query: str) -> list[str]:
        answer = await api.get(f"{ALL}?pbx=filters&{query}")
        return [item["id"] for item in answer.json()["items"]]

    assert await listed("") == [queue, webhook]
    assert await listed("type=WEBHOOK") == [webhook]
    assert await listed("type=AWS_SQS") == [queue]
    assert await listed("enabled=true") == [webhook]
    assert await listed("enabled=false") == [queue]
    assert await listed("company=it_filters") == [webhook]
    assert await listed("company=it_filters&enabled=false") == []


async def test_integrations_are_searched_by_name_url_and_id(api: Api, keys: Keys) -> None:
    part = {"pbx": "search"}
    [crm] = await create(api, 1, name="Kunden 100%", **part)
    [other] = await create(api, 1, url="https://erp.Example.net/hook_1", **part)
    queue = (await api.post(ALL, a_queue(**part))).json()["id"]
    await create(api, 1, name="Kunden", pbx="another")

    async def found(search: str, key: str = "") -> list[str]:
        answer = await api.get(ALL, params={"search": search, **part}, key=key)
        return [item["id"] for item in answer.json()["items"]]

    assert await found("kUNDEN") == [crm]
    assert await found("0%") == [crm]
    assert await found("ERP.example") == [other]
    assert await found("k_1") == [other]
    assert await found("_") == [other]  # no wildcard
    assert await found(queue[1:].upper()) == [queue]
    assert await found("nobody's") == []
    assert await found("hook", await keys.manager(pbx="another")) == []
    for wrong in ("", "x" * 201, "a\nb"):
        answer = await api.get(ALL, params={"search": wrong})
        assert answer.json()["errors"][0]["path"] == "search"
    first = (await api.get(f"{ALL}?pbx=search&search=e&limit=1")).json()["next"]
    assert (await api.get(f"{ALL}?pbx=search&search=x&cursor={first}")).status_code == 422


async def test_a_changed_cursor_is_refused(api: Api) -> None:
    await create(api, 2, pbx="tamper")
    cursor = (await api.get(f"{ALL}?pbx=tamper&limit=1")).json()["next"]
    for position in range(len(cursor)):
        other = "A" if cursor[position] != "A" else "B"
        changed = cursor[:position] + other + cursor[position + 1 :]
        answer = await api.get(f"{ALL}?pbx=tamper&cursor={changed}")
        assert answer.status_code == 422, position
        assert answer.json()["errors"][0]["path"] == "cursor"


async def test_a_cursor_of_other_filters_is_refused(api: Api) -> None:
    await create(api, 2, pbx="mixed")
    cursor = (await api.get(f"{ALL}?pbx=mixed&limit=1")).json()["next"]
    assert (await api.get(f"{ALL}?pbx=other&cursor={cursor}")).status_code == 422
    assert (await api.get(f"{ALL}?cursor={cursor}")).status_code == 422


@pytest.mark.parametrize(
    ("second", "status"),
    [
        ("2016-12-31T23:59:60Z", 200),
        ("2016-12-31T15:59:60.5-08:00", 200),
        ("2016-12-31T23:58:60Z", 422),
        ("2016-12-31T23:59:61Z", 422),
    ],
)
async def test_a_leap_second_is_a_moment_like_others(api: Api, second: str, status: int) -> None:
    answer = await api.get("/v1/events", params={"since": second, "until": "2017-01-02T00:00:00Z"})
    assert answer.status_code == status, answer.text
