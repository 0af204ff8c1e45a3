import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings

from hookline.domain.events import Event, Limits, parse_batch, parse_event
from hookline.errors import ConfigurationError, InvalidInput, MalformedBody, TooLarge
from support import json_texts
from support.node import Node

LIMITS = Limits()
SAMPLES = sorted((Path(__file__).parent.parent / "events").glob("*/*.json"))
SECRET = b"abcdefghijABCDEFGHIJ0123456789"


def envelope(**changes: object) -> dict[str, object]:
    whole: dict[str, object] = {
        "id": "0195b8a2",
        "pbx": "000000000001",
        "company": "it_w000001",
        "time": 1721836787753,
        "type": "call:live:progress",
        "data": {"state": "talking"},
    }
    return {key: value for key, value in (whole | changes).items() if value is not ...}


def raw(**changes: object) -> bytes:
    return json.dumps(envelope(**changes)).encode()


def parsed(**changes: object) -> Event:
    return parse_event(raw(**changes), LIMITS)


def wrong_paths(body: bytes) -> list[str]:
    with pytest.raises(InvalidInput) as refusal:
        parse_event(body, LIMITS)
    return [problem.path for problem in refusal.value.fields]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_real_event_comes_back_as_node_prints_the_original(path: Path, node: Node) -> None:
    original = json.loads(path.read_bytes())
    names = ("id", "pbx", "company", "time", "type", "integrationId", "data")
    in_order = {name: original[name] for name in names if name in original}
    integration_id = str(original.pop("integrationId"))

    event = parse_event(json.dumps(original).encode(), LIMITS)

    assert event.body_for(integration_id) == node.round_trip(json.dumps(in_order | original))
    assert event.payload == node.round_trip(event.payload.decode())


def test_the_known_signature_of_a_documented_event_holds() -> None:
    (path,) = (path for path in SAMPLES if path.stem == "presence-telephony")
    original = json.loads(path.read_bytes())
    integration_id = original.pop("integrationId")

    body = parse_event(json.dumps(original, indent=4).encode(), LIMITS).body_for(integration_id)

    assert len(body) == 245
    assert hmac.new(SECRET, body, hashlib.sha256).hexdigest() == (
        "3d391a648696f3f7a8247f8c31adea9a9ad3b4ff708e1565026cc22cfbd95d74"
    )


def test_an_event_knows_what_routes_it() -> None:
    event = parsed()
    assert (event.subject, event.pbx, event.company) == ("0195b8a2", "000000000001", "it_w000001")
    assert (event.time, event.type) == (1721836787753, "call:live:progress")


def test_members_come_out_in_the_envelopes_order_and_unknown_ones_are_kept() -> None:
    body = b"""{"zeta": 1.0, "data": {"b": 1, "1": 2}, "type": "x:y", "10": "ten", "time": 5,
        "9": [], "id": "s", "company": "c", "alpha": {"id": 0}, "pbx": "p"}"""
    assert parse_event(body, LIMITS).body_for("s95eum") == (
        b'{"9":[],"10":"ten","id":"s","pbx":"p","company":"c","time":5,"type":"x:y",'
        b'"integrationId":"s95eum","data":{"1":2,"b":1},"zeta":1,"alpha":{"id":0}}'
    )


@settings(max_examples=150, deadline=None)
@given(data=json_texts.objects, other=json_texts.documents)
def test_every_body_survives_a_javascript_round_trip(node: Node, data: str, other: str) -> None:
    body = f'{{"12":{other},"x":{other},"data":{data},{raw(data=...).decode()[1:]}'
    event = parse_event(body.encode(), LIMITS)
    for printed in (event.payload, event.body_for("s95eum")):
        assert node.round_trip(printed.decode()) == printed
    assert json.loads(event.body_for("s95eum"))["integrationId"] == "s95eum"


@pytest.mark.parametrize("pbx", [None, ...])
def test_an_event_without_a_pbx_is_printed_without_one(pbx: object) -> None:
    event = parsed(pbx=pbx)
    assert event.pbx is None
    assert b'"pbx"' not in event.payload


@pytest.mark.parametrize("text", ["1721836787753", "1721836787753.0", "1.721836787753e12"])
def test_a_time_that_javascript_reads_as_an_integer_is_one(text: str) -> None:
    event = parse_event(raw().replace(b"1721836787753", text.encode()), LIMITS)
    assert event == parsed()


@pytest.mark.parametrize("time", [0, 2**53 - 1])
def test_the_first_and_the_last_time_are_accepted(time: int) -> None:
    assert parsed(time=time).time == time


@pytest.mark.parametrize("time", [-1, "5", 1.5, True, None, ..., 2**53, 1e300, [], 10**400])
def test_any_other_time_is_refused(time: object) -> None:
    assert wrong_paths(raw(time=time)) == ["time"]


@pytest.mark.parametrize(("field", "longest"), [("id", 255), ("pbx", 64), ("company", 64)])
def test_routing_fields_are_strings_of_a_bounded_length(field: str, longest: int) -> None:
    parsed(**{field: "é" * longest})
    parsed(**{field: "a b/c@d.example"})
    unprintable = ["a\x00", "a\n", "\x7f", "\x85", "\ud800"]
    wrongs: list[object] = ["", "x" * (longest + 1), 7, True, [], {}, *unprintable]
    for wrong in wrongs:
        assert wrong_paths(raw(**{field: wrong})) == [field]


def test_a_type_is_any_name_without_spaces() -> None:
    for name in ("call:completed", "brand:new:2027", "Ünknown", "x" * 128):
        assert parsed(type=name).type == name
    unprintable = ["call completed", "a\u00a0b", "a\tb", "a\x00", "\udfff"]
    wrongs: list[object] = ["", "x" * 129, 1, None, ..., *unprintable]
    for wrong in wrongs:
        assert wrong_paths(raw(type=wrong)) == ["type"]


@pytest.mark.parametrize("data", [None, ..., [], "text", 1, False])
def test_data_is_an_object(data: object) -> None:
    assert wrong_paths(raw(data=data)) == ["data"]


def test_what_postgres_text_cannot_hold_is_legal_in_data_and_kept() -> None:
    event = parsed(data={"text": "a\x00b\ud800", "\udfff": 1})
    assert event.payload.endswith(b'"data":{"text":"a\\u0000b\\ud800","\\udfff":1}}')


@pytest.mark.parametrize("value", ["s95eum", None, 1])
def test_an_integration_id_is_hooklines_to_set(value: object) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parsed(integrationId=value)
    (problem,) = refusal.value.fields
    assert (problem.path, "leave it out" in problem.message) == ("integrationId", True)


def test_every_wrong_field_is_named_at_once() -> None:
    body = b'{"pbx": 5, "time": "now", "type": "a b", "integrationId": "s95eum"}'
    assert wrong_paths(body) == ["id", "pbx", "company", "time", "type", "data", "integrationId"]


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null", b"", b"{", b'{"a":NaN}', b"\xff"])
def test_what_is_not_an_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse_event(body, LIMITS)


def test_an_event_is_bounded_in_bytes_as_sent_and_as_printed() -> None:
    limits = Limits(event_bytes=400)
    short = raw(data={"n": [1e20] * 5})
    parse_event(short, limits)
    with pytest.raises(TooLarge, match="at most 400 bytes; this one has 401"):
        parse_event(short + b" " * (401 - len(short)), limits)
    growing = raw(data={"n": [1e20] * 30})
    assert len(growing) <= 400
    with pytest.raises(TooLarge, match="as JavaScript prints it"):
        parse_event(growing, limits)


def test_the_envelope_is_the_first_level_of_depth() -> None:
    def nested(levels: int) -> bytes:
        return raw().replace(b'"talking"', b"[" * levels + b"]" * levels)

    parse_event(nested(62), LIMITS)
    with pytest.raises(TooLarge, match="64 deep"):
        parse_event(nested(63), LIMITS)
    with pytest.raises(TooLarge):
        parse_event(nested(10_000), LIMITS)


@pytest.mark.parametrize("depth", [1, 201])
def test_a_depth_that_could_not_be_kept_is_no_setting(depth: int) -> None:
    with pytest.raises(ConfigurationError):
        Limits(depth=depth)


def test_the_greatest_depth_that_can_be_set_is_parsed_and_printed() -> None:
    body = raw().replace(b'"talking"', b"[" * 198 + b"1.0,2e-7" + b"]" * 198)
    assert b"[1,2e-7]" in parse_event(body, Limits(depth=200)).payload


def test_the_same_event_in_another_spelling_has_the_same_digest() -> None:
    one = parse_event(b'{"id":"a","company":"c","time":1,"type":"t","data":{"n":1}}', LIMITS)
    other = parse_event(
        b'{ "type":"\\u0074", "data":{"n":2,"n":1.0},"company":"c","time":1e0,"pbx":null,"id":"a"}',
        LIMITS,
    )
    assert one.digest("p") == other.digest("p")
    assert isinstance(one.digest("p"), UUID)


def test_another_pbx_or_another_byte_gives_another_digest() -> None:
    event, other = parsed(pbx=...), parsed(pbx=..., time=1721836787754)
    digests = {event.digest("a"), event.digest("b"), event.digest(None), other.digest("a")}
    assert len(digests) == 4


def test_a_payload_is_not_in_what_is_printed_of_an_event() -> None:
    assert "talking" not in repr(parsed())


def too_large() -> bytes:
    return raw(data={"text": "x" * LIMITS.event_bytes})


def too_deep() -> bytes:
    return raw().replace(b'"talking"', b"[" * 10_000 + b"]" * 10_000)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (lambda: raw(time=-1), InvalidInput),
        (lambda: raw(id="\ud800"), InvalidInput),
        (lambda: raw(id="x" * 500), InvalidInput),
        (lambda: b"42", MalformedBody),
        (lambda: b"null", MalformedBody),
        (lambda: b'{"a": NaN}', MalformedBody),
        (lambda: b'{"a": "\xff"}', MalformedBody),
        (too_deep, TooLarge),
        (lambda: b"[" * 10_000 + b"]" * 10_000, TooLarge),
        (too_large, TooLarge),
    ],
)
def test_one_bad_item_spoils_no_other(bad: Callable[[], bytes], error: type[Exception]) -> None:
    body = b'{"events": [' + b" , ".join((raw(id="first"), bad(), raw(id="third"))) + b"]}"
    first, second, third = parse_batch(body, LIMITS)
    assert (first, third) == (parsed(id="first"), parsed(id="third"))
    assert type(second) is error


def test_an_items_paths_start_at_the_item() -> None:
    (error,) = parse_batch(b'{"events": [' + raw(time="x", data=1) + b"]}", LIMITS)
    assert isinstance(error, InvalidInput)
    assert [problem.path for problem in error.fields] == ["time", "data"]


def test_all_real_events_pass_as_one_batch() -> None:
    singles = []
    for path in SAMPLES:
        original = json.loads(path.read_bytes())
        del original["integrationId"]
        singles.append(json.dumps(original).encode())
    results = parse_batch(b'{"events": [' + b",".join(singles) + b"]}", LIMITS)
    assert results == [parse_event(single, LIMITS) for single in singles]


def test_an_empty_batch_has_no_results() -> None:
    assert parse_batch(b'{"events": []}', LIMITS) == []


def test_a_batch_is_bounded_in_bytes_and_in_events() -> None:
    limits = Limits(batch_bytes=1_000, batch_events=2)
    with pytest.raises(TooLarge, match="at most 1000 bytes; this one has 1001"):
        parse_batch(b'{"events": []}'.ljust(1_001), limits)
    with pytest.raises(TooLarge, match="at most 2 events"):
        parse_batch(b'{"events": [1, 2, 3]}', limits)
