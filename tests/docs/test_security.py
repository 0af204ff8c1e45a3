"""What docs/security.md says is so: keys, settings, defaults, figures, and tests that hold them."""

import inspect
import json
import re

import pytest

from hookline import background, bootstrap, engine_setup, runtime
from hookline.api import bounded_body, cpu_shares, fairness, parameters, rate_limits
from hookline.cli.show import text_of
from hookline.dispatch import (
    backpressure,
    engine,
    ingest,
    ingest_authorisation,
    manual,
    pace,
    tenant_shares,
)
from hookline.dispatch import jobs as dispatch_jobs
from hookline.domain import access, documents, filter_matchers, filters, omissions, retries
from hookline.history import jobs, stream_readers
from hookline.integrations import creation, encryption, event_types, notices, subscriptions
from hookline.security.egress import connect, policy, resolver, responses, tls, transport
from hookline.server import connections, malformed, protocol, server
from hookline.settings import Settings
from support.openapi import DOCUMENT
from support.readme import ROOT

TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
SENTENCES = " ".join(TEXT.split())


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


BOUNDS = section("Bounds")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in BOUNDS.splitlines()
    if line.startswith("| ")
][2:]  # behind the names of the columns and the line below them
DEFAULTS = {
    name.upper(): text_of(field.get_default()) for name, field in Settings.model_fields.items()
}
PARTS = {0.5: "half", 0.25: "a quarter"}
TIMES = {2: "twice", 3: "three times"}
SPANS: dict[float, str] = {1: "a second", 60: "a minute", 3_600: "an hour", 86_400: "a day"}
NUMBERS = {3: "three"}
QUARTERS = {4: "quarter", 2: "half"}
NO_BOUNDS = {"MAX_PROBE_INTERVAL"}  # and yet called MAX
_OF_TENANT, _OF_ADDRESS = rate_limits._OF_TENANT, rate_limits._OF_ADDRESS
_PAGES, _METRICS, _PROBES = rate_limits._PAGES, rate_limits._METRICS, rate_limits._PROBES
_DROPPED = connections._DROPPED_AT_ONCE * server._BYTES_AT_ONCE / connections._DROPPED_EVERY
_NAMES = inspect.signature(documents.parse_unambiguous).parameters["names"].default


def size(count: float) -> str:
    """Print bytes as the document does."""
    for unit, of in (("MiB", 2**20), ("KiB", 2**10)):
        if count >= of:
            return f"{count / of:g} {unit}"
    return f"{count:g} bytes"


FIGURES = {  # what a bound that is no setting says, by the beginning of its row
    "events being stored": (
        size(runtime._MOST_BYTES_IN_HAND),
        f"{PARTS[backpressure._SHARE_IN_HAND]} for a PBX or company",
    ),
    "payloads on their way out": (
        size(engine_setup._MOST_BYTES_HELD),
        f"{TIMES[tenant_shares._MULTIPLE]} what it leaves free",
    ),
    "answers that refuse": (
        f"{_OF_TENANT.per_second:g} a second for a tenant, after {_OF_TENANT.at_once} at once",
        f"{_OF_ADDRESS.per_second:g} for an address, after {_OF_ADDRESS.at_once}",
        f"up to {_OF_ADDRESS.longest:g} s",
    ),
    "pages, metrics and probes": (
        (
            f"{_PAGES.per_second:g} pages, {_METRICS.per_second:g} times the metrics and"
            f" {_PROBES.per_second:g} probes a second, after {_PAGES.at_once:,}, {_METRICS.at_once}"
            f" and {_PROBES.at_once} at once"
        ),
        f"up to {_PAGES.longest:g} s; probes up to {_PROBES.longest:g} s",
    ),
    "CPU time of requests": (
        f"{cpu_shares._REQUEST * 1e3:g} ms for each request",
        f"{PARTS[pace.SHARE]} of a processor",
        f"{cpu_shares._BURST * 1e3:g} ms at once",
        f"a debt of {SPANS[cpu_shares._MOST_DEBT]}",
        f"up to {cpu_shares._MOST_WAITING} of them for {cpu_shares._PATIENCE:g} s; then 429",
    ),
    "CPU time of attempts": (
        f"{pace._ATTEMPT * 1e3:g} ms each, {pace._BYTE * 1e9:g} ms a megabyte",
        f"{pace._SAVED * 1e3:g} ms saved up, {pace._ROUND * 1e3:g} ms in a round",
        f"a debt of {SPANS[pace._MOST_DEBT]} at the most",
        f"{transport._OPENED * 1e3:g} ms for a connection,",
        f"{transport._VERIFIED * 1e3:g} ms for TLS on it",
        f"({transport._RESUMED * 1e3:g} ms where it is resumed)",
    ),
    "seconds that an answer waits": (f"{protocol.UNREAD_SECONDS:g}",),
    "seconds for a head, and for a body": (
        f"{protocol.HEAD_SECONDS:g}, {protocol.BODY_SECONDS:g}",
    ),
    "bytes of an address, and of a head; headers": (
        (
            f"{size(malformed._MOST_TARGET_BYTES)}, {size(protocol._MOST_HEAD_BYTES)};"
            f" {protocol._MOST_HEADERS}"
        ),
    ),
    "bytes of a body that a request keeps": (size(server._FIRST_BYTES),),
    "pipelined requests of a connection": (f"{protocol._MOST_PIPELINED}",),
    "connections that are read on": (f"{connections._MOST_LINGERING} for a PBX",),
    "bytes that are read on": (
        f"{size(protocol._LINGER_BYTES)} of a connection, {size(_DROPPED)} a second of all",
    ),
    "bytes, and names, of a REST body": (f"{size(bounded_body.MOST_BYTES)}, {_NAMES:,}",),
    "levels of a REST body": (f"{bounded_body._DEEPEST}",),
    "bytes, leaves and levels of a filter": (
        (
            f"{size(filters.MOST_BYTES)}, {filters.MOST_LEAVES}, {filters.DEEPEST};"
            f" {filter_matchers.MOST_STEPS:,}"
        ),
    ),
    "fields that copies leave out": (f"{omissions.MOST_PATHS}",),
    "items of a page": (f"{parameters.LARGEST_LIMIT}",),
    "wrong keys of an address": (
        f"{rate_limits.REFUSALS}, then one in {1 / rate_limits._REGAINED:g} s",
    ),
    "event types that administrators added": (f"{event_types.MOST_TYPES}",),
    "names of event types in no catalogue": (f"{event_types.MOST_NAMES:,}",),
    "secrets of an integration that sign": (f"{encryption._MOST_SIGNING}",),
    "reads of a receiver's answer": (
        f"{connect._READS_AT_ONCE}, then one for each {QUARTERS[connect._PART_OF_TIME]}",
    ),
    "bytes of a receiver's answer": (f"{size(transport.KEPT_BODY)}, {size(transport.READ_BODY)}",),
    "interim responses": (f"{responses.MAX_INTERIM}; {size(responses.MAX_HEAD)}",),
    "the same of one PBX": ("its record's, up to the former",),
    "look-ups of names under way": (
        f"{policy._SAVES_PER_TENANT} for saves, {policy._DELIVERIES_PER_TENANT} for deliveries",
        f"end after {resolver._LONGEST:g} s",
    ),
    "unfinished replays, and erasures": (
        f"{jobs.MOST_UNFINISHED:,} of each",
        f"{jobs.MOST_OF_TENANT} replays for a company, or a PBX of none",
    ),
    "time of a process that replays take": (PARTS[1 / (1 + dispatch_jobs._REST)],),
    "test deliveries under way": (
        f"{manual.MOST_AT_ONCE}",
        (
            f"{manual._MOST_PER_INTEGRATION} for an integration, {manual._MOST_PER_TENANT} for a"
            f" PBX or company, {manual._MOST_PER_COMPANY} for a company and its PBXs"
        ),
    ),
    "notices that wait to be told": (
        f"{notices._MOST_WAITING:,}, for {SPANS[notices._OLDEST.total_seconds()]}",
        f"{notices._MOST_OF_TENANT:,} for a PBX or company",
    ),
}
SETTINGS_FIGURES = {  # what rows of settings say besides their defaults
    "MAX_BODY_MEMORY": (f"{PARTS[1 / fairness._BODY_SHARE]} for a PBX",),
    "DATABASE_POOL_SIZE": (
        f"{PARTS[1 / fairness._READ_SHARE]} of it for a PBX",
        f"{fairness._MOST_WAITING_READS} more wait for up to {fairness._READ_PATIENCE:g} s",
    ),
    "MAX_STREAMS": (
        (
            f"{size(stream_readers._MOST_WAITING)} wait for all readers,"
            f" {size(stream_readers._MOST_FOR_ONE)} for one"
        ),
    ),
    "MAX_RETRIES": (f"{retries.MOST_RETRIES} of those that an integration sets",),
    "MAX_IN_FLIGHT": (f"{TIMES[tenant_shares._MULTIPLE]} what it leaves free",),
    "MAX_PENDING": (f"{PARTS[tenant_shares._PART_OF_COMPANY]} of that for a PBX of a company",),
    "MAX_CONNECTIONS": (f"no key in {SPANS[connections._TO_SHOW_A_KEY]}",),
}
VECTORS = json.loads((ROOT / "tests" / "security" / "ssrf_vectors.json").read_text("utf-8"))
SAID = (  # in other sections
    f"{len(VECTORS)} vectors",
    f"{access._RANDOM_BYTES * 8} random bits",
    (
        f"{rate_limits.REFUSALS} wrong keys from an address (IPv6: a /{rate_limits._ONE_CUSTOMER}),"
        f" then one in {1 / rate_limits._REGAINED:g} seconds"
    ),
    f"end after {resolver._LONGEST:g} s and are kept for {resolver.KEPT_SECONDS:g} s",
    f"{policy._SAVES_PER_TENANT} for saves and {policy._DELIVERIES_PER_TENANT} for deliveries are",
    f"{protocol.HEAD_SECONDS:g} s for a head, {protocol.BODY_SECONDS:g} s for a body",
    f"`MAX_BODY_MEMORY`, a tenant has {PARTS[1 / fairness._BODY_SHARE]}",
    f"above {size(bounded_body._LARGE)} it is parsed in steps",
    f"more than {size(engine._LARGE)}",
    f"slices of {PARTS[background._SLICE * 1e3]} a millisecond",
    f"requests above {ingest._HEAVY} events and deliveries",
    f"above {ingest._LARGEST:,} deliveries one is planned",
    f"which counts for {SPANS[tls._RESUMED_FOR]} of resumed sessions",
    f"{size(transport.KEPT_BODY)} kept, nothing decompressed",
    f"at most {SPANS[bootstrap._FORGET_EVERY]} after its grace",
    f"for {creation.KEPT_FOR.days * 24} hours or until the integration is deleted",
    f"found them changed in {NUMBERS[ingest_authorisation._FREELY]} tries",
    f"{subscriptions._MOST_MATCHES} for each PBX or company that has integrations",
    f"ends after {fairness._READ_PATIENCE:g} s",
)


def operations(*, of: str) -> set[str]:
    """Return the operations that a paragraph of the keys' section names, by how it begins."""
    found = next(
        each for each in section("Who can do what with which key").split("\n\n") if of in each
    )
    return set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) [^`]+)`", found.partition(of)[2]))


def test_what_takes_which_key_is_told_as_the_api_describes_it() -> None:
    roles = {
        f"{method.upper()} {path}": operation.get("x-roles", ())
        for path, of_path in DOCUMENT["paths"].items()
        for method, operation in of_path.items()
    }
    sends = {"POST /v1/events", "POST /v1/events/batch"}
    anybody = {each for each, taken in roles.items() if {"ingest", "manager"} <= set(taken)}
    admins = {each for each, taken in roles.items() if list(taken) == ["admin"]}
    assert operations(of="Every valid key may call") == anybody - sends
    assert operations(of="For `admin` keys alone are") == admins
    assert {each for each, taken in roles.items() if "ingest" in taken} == anybody | sends
    without = {each.removeprefix("GET ") for each, taken in roles.items() if not taken}
    [row] = [line for line in TEXT.splitlines() if line.startswith("| none | read")]
    assert set(re.findall(r"`([^`]+)`", row)) == without


def test_settings_that_are_named_exist() -> None:
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", TEXT))
    assert named >= {"MAX_PENDING", "MAX_INTEGRATIONS_PER_PBX"}
    assert named - set(DEFAULTS) - {"AWS_SQS"} == set()


def test_each_bound_that_is_a_setting_is_there_with_its_default() -> None:
    told = {row[1].strip("`"): row[2].strip("`") for row in ROWS if row[1].startswith("`")}
    assert told == {name: DEFAULTS[name] for name in told}
    bounds = {name for name in DEFAULTS if "MAX_" in name or "_PER_" in name}
    assert bounds - NO_BOUNDS <= set(told)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if not row[1].startswith("`")], ids=lambda r: r[0][:40]
)
def test_each_other_bound_has_the_codes_figures(row: list[str]) -> None:
    [figures] = [said for begins, said in FIGURES.items() if row[0].startswith(begins)]
    line = " | ".join(row)
    assert [each for each in figures if each not in line] == []


def test_what_rows_of_settings_say_besides_is_so() -> None:
    lines = {row[1].strip("`"): " | ".join(row) for row in ROWS}
    wrong = {
        (name, each)
        for name, said in SETTINGS_FIGURES.items()
        for each in said
        if each not in lines[name]
    }
    assert wrong == set()


def test_figures_in_sentences_are_the_codes() -> None:
    assert [each for each in SAID if each not in SENTENCES] == []


def test_each_bound_and_promise_names_a_test_and_each_test_exists() -> None:
    assert [row for row in ROWS if "`tests/" not in row[5]] == []
    paths = re.findall(r"tests/[\w/]+(?:\.(?:py|json|toml))?", TEXT)
    assert [path for path in paths if not (ROOT / path).exists()] == []
