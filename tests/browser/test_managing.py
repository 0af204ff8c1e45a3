"""One integration's page: edit it, switch it, test it, look at what it got."""

from datetime import UTC, datetime, timedelta
from functools import partial

from playwright.async_api import Browser, Page, Route, expect

from factories import Json, an_event
from support.chromium import opened
from support.receivers import Receiver, answering, status
from support.service import Service, Services, eventually

HOSTILE = b"<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


async def test_an_edit_over_somebody_elses_is_explained_and_nothing_is_lost(
    admin: Page, browser: Browser, service: Service, starter: Services, receiver: Receiver
) -> None:
    made = await service.an_integration(receiver, name="Both edit")
    address = f"/console/integrations/{made['id']}?tab=settings"
    await admin.goto(address)
    async with opened(browser, service.url) as other:
        await other.goto(f"{address}#key={starter.admin_key}")
        await other.get_by_role("textbox", name="Name", exact=True).fill("By the other")
        await admin.get_by_role("textbox", name="URL", exact=True).fill("https://crm.example.com/2")
        await other.get_by_role("button", name="Save").click()
        await expect(other.get_by_text("Saved", exact=True)).to_be_visible()

    await admin.get_by_role("button", name="Save").click()
    differences = admin.get_by_role("table", name="What differs")
    await expect(differences.get_by_role("row", name="Name")).to_contain_text("By the other")
    await expect(differences.get_by_role("row", name="URL")).to_contain_text("crm.example.com/2")
    await admin.get_by_role("button", name="Put my changes on top").click()
    await admin.get_by_role("button", name="Save").click()
    await expect(admin.get_by_role("heading", name="By the other")).to_be_visible()
    await expect(admin.get_by_text("Saved", exact=True)).to_be_visible()
    saved = await service.read(f"/v1/integrations/{made['id']}")
    assert (saved["name"], saved["transmission"]["url"]) == (
        "By the other",
        "https://crm.example.com/2",
    )


async def test_a_test_event_shows_what_was_sent_and_answered_as_text(
    admin: Page, service: Service, receiver: Receiver
) -> None:
    receiver.behaviour = answering(status(200, body=HOSTILE), status(500))
    made = await service.an_integration(receiver, name="Tested")
    await admin.goto(f"/console/integrations/{made['id']}?tab=test")
    await admin.get_by_role("button", name="Send a test event").click()
    await expect(admin.get_by_role("status").filter(has_text="HTTP 200")).to_be_visible()
    [request] = receiver.requests
    headers = admin.get_by_label("The headers that were sent")
    await expect(headers).to_contain_text(f"x-signature: {request.headers['x-signature']}")
    sent = admin.get_by_label("The body that was sent")
    await expect(sent).to_contain_text(f'"integrationId": "{made["id"]}"')
    await expect(admin.get_by_label("The answer's body")).to_have_text(HOSTILE.decode())
    await expect(admin).to_have_title("Tested · Hookline")

    await admin.get_by_role("button", name="Send a test event").click()
    await expect(admin.get_by_text("a real event would be sent again")).to_be_visible()


async def test_an_integration_is_disabled_enabled_and_deleted(
    admin: Page, service: Service, receiver: Receiver
) -> None:
    made = await service.an_integration(receiver, name="Switched")
    await admin.goto(f"/console/integrations/{made['id']}")
    await admin.get_by_role("button", name="Disable").click()
    dialog = admin.get_by_role("dialog", name="Disable Switched?")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_be_hidden()
    await admin.get_by_role("button", name="Disable").click()
    await dialog.get_by_role("button", name="Disable").click()
    await expect(admin.get_by_text("Disabled by", exact=False)).to_be_visible()
    await admin.get_by_role("button", name="Enable").click()
    await expect(admin.get_by_text("Healthy")).to_be_visible()
    await admin.get_by_role("button", name="Delete").click()
    dialog = admin.get_by_role("dialog", name="Delete Switched?")
    await dialog.get_by_role("button", name="Delete").click()
    await expect(admin.get_by_role("heading", name="Integrations")).to_be_visible()
    assert (await service.api.get(f"/v1/integrations/{made['id']}")).status_code == 404


async def test_the_secret_is_shown_on_demand_and_rotated(
    admin: Page, service: Service, receiver: Receiver
) -> None:
    made = await service.an_integration(receiver, name="Signed")
    old = made["transmission"]["secret"]
    await admin.goto(f"/console/integrations/{made['id']}?tab=secret")
    await expect(admin.get_by_text("hmac", exact=False).first).to_be_visible()
    await expect(admin.get_by_text(old, exact=True)).to_have_count(0)
    await admin.get_by_role("button", name="Show the secret").click()
    await expect(admin.get_by_text(old, exact=True)).to_be_visible()
    await admin.get_by_role("button", name="Make a new secret").click()
    dialog = admin.get_by_role("dialog", name="Make a new secret?")
    await dialog.get_by_role("button", name="Make a new secret").click()
    await expect(admin.get_by_text("The old secret signs along until")).to_be_visible()
    new = (await service.read(f"/v1/integrations/{made['id']}/secret"))["secret"]
    assert new != old
    await expect(admin.get_by_text(new, exact=True)).to_be_visible()


async def test_a_failed_delivery_is_found_and_sent_again(
    admin: Page, service: Service, receiver: Receiver
) -> None:
    receiver.behaviour = answering(status(400, body=HOSTILE), status(200))
    made = await service.an_integration(receiver, name="Refuses once", pbx="000000000007")
    event = an_event(pbx="000000000007", id="refused-once")
    delivery = await service.settled_delivery((await service.send(event))["eventId"])
    assert delivery["reason"] == "rejected"
    await admin.goto(f"/console/events/{delivery['eventId']}")
    outcomes = admin.get_by_role("table", name="What became of it")
    await expect(outcomes).to_contain_text("Last attempt: The answer was 400.")

    await admin.goto(f"/console/integrations/{made['id']}?status=failed")
    await admin.get_by_role("table", name="Deliveries").get_by_role("link").first.click()
    await expect(admin.get_by_text("The receiver refused it")).to_be_visible()
    await expect(admin.get_by_label("The answer's body")).to_have_text(HOSTILE.decode())
    await admin.get_by_role("button", name="Send again now").click()
    await expect(admin.get_by_text("Attempt 2")).to_be_visible()
    await admin.locator("time").first.hover()
    await expect(admin.get_by_role("tooltip")).to_contain_text(" UTC")
    await expect(admin.get_by_text("Delivered", exact=True)).to_be_visible()


async def test_a_list_looks_on_where_a_page_found_nothing(
    admin: Page, service: Service, receiver: Receiver
) -> None:
    """The answers that stand in are what a company of very many integrations is given."""
    made = await service.an_integration(receiver, name="Looked for")
    await service.send(an_event())
    [found] = await eventually(
        lambda: service.deliveries(f"&integrationId={made['id']}&status=delivered"), bool
    )
    asked: list[str] = []

    async def cut_short(route: Route) -> None:
        asked.append(route.request.url)
        page: Json = {"items": [found], "next": None}
        if len(asked) < 3:
            page = {"items": [], "next": f"older-{len(asked)}"}
        await route.fulfill(json=page)

    await admin.route("**/v1/deliveries?*", cut_short)
    await admin.goto("/console/deliveries?event=call:start")
    await expect(admin.get_by_text("1 shown, that is all")).to_be_visible()
    assert ["cursor" in url for url in asked] == [False, True, True]
    assert "cursor=older-2" in asked[2]


async def test_the_failures_of_the_last_hour_are_counted_and_sent_again(
    admin: Page, service: Service, receiver: Receiver
) -> None:
    receiver.behaviour = answering(status(400), status(400), status(200))
    pbx = "000000000005"
    made = await service.an_integration(receiver, name="Was broken", pbx=pbx)
    for number in range(2):
        await _send(service, pbx=pbx, id=f"lost-{number}")
    await admin.goto(f"/console/integrations/{made['id']}?tab=replay")
    await admin.get_by_role("button", name="Count").click()
    await expect(admin.get_by_text("2 deliveries would be queued")).to_be_visible()
    await admin.get_by_role("button", name="Send them again").click()
    await expect(admin.get_by_text("2 of 2 queued: 2 delivered")).to_be_visible()
    await admin.get_by_role("button", name="The last hour").click()
    await admin.get_by_label("Everything of this period").check()
    await admin.get_by_role("button", name="Count").click()
    await expect(admin.get_by_text("2 deliveries would be queued")).to_be_visible()
    assert len(receiver.requests) == 4

    now = datetime.now(UTC)
    asked = {"since": f"{now - timedelta(hours=1):%FT%TZ}", "until": f"{now:%FT%TZ}"}
    path = f"/v1/integrations/{made['id']}/replays"
    started = await service.api.post(path, asked | {"rateLimit": 0.1})
    await admin.reload()
    await admin.get_by_role("button", name="Cancel the replay").click()
    await expect(admin.get_by_role("button", name="Cancel the replay")).to_have_count(0)
    cancelled = await service.read(f"/v1/replays/{started.json()['id']}")
    assert cancelled["state"] == "cancelled"
    assert cancelled["queued"] < cancelled["total"]


async def test_deliveries_come_to_an_open_page_as_they_settle(
    admin: Page, service: Service, receiver: Receiver
) -> None:
    made = await service.an_integration(receiver, name="Watched", pbx="000000000006")
    await admin.goto(f"/console/integrations/{made['id']}")
    await expect(admin.get_by_text("No delivery here")).to_be_visible()
    await _send(service, pbx="000000000006", id="watched")
    rows = admin.get_by_role("table", name="Deliveries").get_by_role("row")
    await expect(rows.filter(has_text="call:completed")).to_contain_text("Delivered")


async def test_a_filter_is_built_of_rows_and_is_the_same_as_json(
    admin: Page, service: Service, receiver: Receiver
) -> None:
    made = await service.an_integration(receiver, name="Filtered")
    await admin.goto(f"/console/integrations/{made['id']}?tab=settings")
    await admin.get_by_role("button", name="Add a row").click()
    await admin.get_by_role("combobox", name="Field of row 1").fill("data.duration")
    await admin.get_by_role("combobox", name="Operator of row 1").click()
    await admin.get_by_role("option", name="≥").click()
    await admin.get_by_label("Value of row 1").fill("10")
    await admin.get_by_role("button", name="Save").click()
    await expect(admin.get_by_text("Saved", exact=True)).to_be_visible()
    saved = await service.read(f"/v1/integrations/{made['id']}")
    assert saved["filter"] == {"data": {"duration": [{"numeric": [">=", 10]}]}}

    json = admin.get_by_role("textbox", name="The filter as JSON")
    await json.fill('{"data": {"duration": [{"numeric": [">=", "ten"]}]}}')
    await admin.get_by_role("button", name="Save").click()
    await expect(admin.get_by_text("filter.data.duration[0].numeric")).to_be_visible()
    await json.fill("")
    await admin.get_by_role("button", name="Save").click()
    await expect(admin.get_by_text("filter.data.duration")).to_have_count(0)
    await eventually(
        lambda: service.read(f"/v1/integrations/{made['id']}"),
        lambda saved: saved["filter"] is None,
    )

    await admin.get_by_role("button", name="Write JSON").click()
    await json.fill('{"data": {"durration": [{"exists": true}]}}')
    await admin.get_by_role("button", name="Save").click()
    warning = admin.get_by_role("status", name="It was saved, but look at this again")
    await expect(warning).to_contain_text("filter.data.durration")


async def test_a_limit_of_deliveries_under_way_is_set_and_left_to_the_service_again(
    admin: Page, service: Service, receiver: Receiver
) -> None:
    made = await service.an_integration(receiver, name="Limited")
    reading = partial(service.read, f"/v1/integrations/{made['id']}")
    await admin.goto(f"/console/integrations/{made['id']}?tab=settings")
    await admin.get_by_role("button", name="Order, pace and retries").click()
    limit = admin.get_by_role("textbox", name="Most deliveries under way at once")
    for typed, kept in (("8", 8), ("", None)):
        await limit.fill(typed)
        await admin.get_by_role("button", name="Save").click()
        await eventually(reading, partial(_has, maxInFlight=kept))


async def test_a_calls_story_says_why_something_was_not_sent(
    admin: Page, service: Service, receiver: Receiver
) -> None:
    pbx = "000000000008"
    await service.an_integration(receiver, name="Takes calls", pbx=pbx, events={"call": "all"})
    chats = {"name": "Takes chats", "pbx": pbx, "events": {"chat": "all"}}
    quiet_one = await service.an_integration(receiver, **chats)
    for number, kind in enumerate(("call:live:progress", "call:live:completed")):
        await _send(service, pbx=pbx, id="the-call", type=kind, time=1_721_836_787_000 + number)

    await admin.goto(f"/console/integrations/{quiet_one['id']}")
    await admin.get_by_role("link", name="Look for the event").click()
    await expect(admin.get_by_role("textbox", name="PBX")).to_have_value(pbx)
    await admin.get_by_label("Subject (a call's id)").fill("the-call")
    await admin.wait_for_url("**subject=the-call**")
    await expect(admin.get_by_role("table", name="Events").get_by_role("row")).to_have_count(3)
    await admin.get_by_role("table", name="Events").get_by_role("link").first.click()
    outcomes = admin.get_by_role("table", name="What became of it")
    await expect(outcomes.get_by_role("row", name="Takes calls")).to_contain_text("Delivered")
    quiet = outcomes.get_by_role("row", name="Takes chats")
    await expect(quiet).to_contain_text("This type of event is not chosen in the integration.")
    await expect(admin.get_by_text("call:live:progress")).to_be_visible()
    await quiet.get_by_role("link", name="Change what the integration gets").click()
    await expect(admin.get_by_role("tree", name="Types of events")).to_be_visible()


async def test_pbxs_and_keys_are_kept_by_admins(admin: Page, service: Service) -> None:
    await admin.goto("/console/pbxs")
    await admin.get_by_role("button", name="Add a PBX").click()
    dialog = admin.get_by_role("dialog", name="Add a PBX")
    await dialog.get_by_label("PBX serial").fill("000000000077")
    await dialog.get_by_label("Company").fill("it_w000077")
    await dialog.get_by_role("button", name="Save").click()
    await expect(admin.get_by_role("cell", name="000000000077", exact=True)).to_be_visible()
    assert (await service.read("/v1/pbxs/000000000077"))["license"] == "x-bees"
    await admin.get_by_role("button", name="Edit 000000000077").click()
    dialog = admin.get_by_role("dialog", name="Edit 000000000077")
    await dialog.get_by_label("Days that its events are kept").fill("7")
    await expect(dialog.get_by_text("are deleted for ever")).to_be_visible()
    await dialog.get_by_role("button", name="Save").click()
    row = admin.get_by_role("row", name="000000000077")
    await expect(row.get_by_role("cell", name="7", exact=True)).to_be_visible()
    assert (await service.read("/v1/pbxs/000000000077"))["retentionDays"] == 7

    await admin.goto("/console/keys")
    await admin.get_by_role("button", name="Make a key").click()
    dialog = admin.get_by_role("dialog", name="Make a key")
    await dialog.get_by_role("textbox", name="PBX").fill("000000000077")
    await dialog.get_by_role("textbox", name="Name").fill("from the console")
    await dialog.get_by_role("button", name="Make the key").click()
    key = await dialog.get_by_text("hk_").text_content()
    await dialog.get_by_role("button", name="Done").click()
    answer = await service.api.get("/v1/integrations", key=key)
    assert answer.status_code == 200
    row = admin.get_by_role("row", name="from the console")
    await row.get_by_role("button", name="Revoke").click()
    await admin.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    await expect(row).to_contain_text("Revoked")


async def test_the_system_page_says_what_the_api_says(admin: Page, service: Service) -> None:
    overview = await service.read("/v1/system")
    await admin.goto("/console/system")
    facts = {
        "Waiting": str(overview["backlog"]["pending"]),
        "Days kept": str(overview["partitions"]["days"]),
        "Hookline": overview["version"],
        "PostgreSQL": overview["database"]["version"],
        "Migration": overview["migrations"]["current"],
        "Delivered": "a second",
    }
    for name, value in facts.items():
        fact = admin.locator("div", has=admin.get_by_text(name, exact=True)).last
        await expect(fact).to_contain_text(value)
    engines = admin.get_by_role("table", name="Engines").get_by_role("row")
    for engine in overview["engines"]:
        told = engines.filter(has_text=str(engine["pid"]))
        await expect(told).to_contain_text(engine["host"])
        await expect(told).to_contain_text(engine["version"])


async def test_what_an_event_said_is_erased(
    admin: Page, service: Service, receiver: Receiver
) -> None:
    pbx = "000000000009"
    await service.an_integration(receiver, name="Saw it", pbx=pbx)
    receipt = await _send(service, pbx=pbx, id="private")
    await admin.goto("/console/erasures")
    await admin.get_by_role("button", name="Erase", exact=True).click()
    await expect(admin.get_by_text("Enter the PBX's serial.")).to_be_visible()
    await admin.get_by_role("textbox", name="PBX serial").fill(pbx)
    await admin.get_by_role("textbox", name="Subject").fill("private")
    await admin.get_by_role("button", name="Erase", exact=True).click()
    dialog = admin.get_by_role("dialog", name="Erase for ever?")
    await expect(dialog).to_contain_text(f"PBX {pbx}, private")
    await dialog.get_by_role("button", name="Erase").click()
    await expect(admin.get_by_text("1 of 1 event erased")).to_be_visible()
    erased = await service.read(f"/v1/events/{receipt['eventId']}")
    assert erased["erasedAt"] is not None
    assert "data" not in erased["event"]
    await admin.goto("/console/erasures")
    past = admin.get_by_role("table", name="Erasures so far").get_by_role("row", name=pbx)
    await past.get_by_role("link").click()
    await expect(admin.get_by_text("1 of 1 event erased")).to_be_visible()


def _has(read: Json, **fields: object) -> bool:
    return {name: read[name] for name in fields} == fields


async def _send(service: Service, **changes: object) -> Json:
    receipt = await service.send(an_event(**changes))
    await service.settled(receipt["eventId"])
    return receipt
