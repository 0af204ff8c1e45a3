from factories import an_event
from support.api_client import Api


async def test_an_event_is_accepted_once_and_found(api: Api) -> None:
    first = await api.post("/v1/events", an_event())
    again = await api.post("/v1/events", an_event())
    assert first.status_code == again.status_code == 202
    assert first.json() == {"eventId": first.json()["eventId"], "duplicate": False, "deliveries": 0}
    assert again.json() == first.json() | {"duplicate": True}
    found = await api.get(f"/v1/events/{first.json()['eventId']}")
    print(found.text)
    print((await api.get("/v1/events")).text)
    print((await api.get("/v1/deliveries")).text)
    assert found.status_code == 200
