"""Doctor's checks of the database and what it holds: migration, clock, days, keys, targets."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

import asyncpg
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from hookline.cli.database import dsn_of
from hookline.db import connections, partitions
from hookline.db.errors import database_error, explained
from hookline.db.inspection import DatabaseFacts, faults, read_facts, refuse_shared_sessions
from hookline.db.migrate import missing_indexes, newest_revision
from hookline.db.models import Integration
from hookline.db.statements import statement
from hookline.domain.targets import TransmissionType
from hookline.errors import ConfigurationError, DecryptionFailed, HooklineError, InvalidInput
from hookline.integrations.encryption import open_target
from hookline.integrations.keys import KeyService
from hookline.integrations.revision import Transactions
from hookline.security.egress.policy import Blocked, EgressPolicy, Unresolved
from hookline.security.egress.resolver import DnsResolver
from hookline.security.egress.urls import Origin, parse_url
from hookline.security.secrets import KeyRing
from hookline.settings import Settings, encryption_keys, known_admin_key

_SLOW: Final = 0.05  # seconds of a round trip: every event waits for two
_CLOCKS_DIFFER: Final = 1.0  # seconds that are worth a word
_CLOCKS_APART: Final = 30.0  # seconds at which ids and due times are of different minutes
_MOST_SECRETS: Final = 10_000  # integrations whose secrets are tried
_MOST_HOSTS: Final = 25  # of targets, that are looked up
_LOOK_UP: Final = 3.0  # seconds for each
_TOLD: Final = 5  # names in a sentence

_LIMITS: Final = {
    "server": "PostgreSQL's max_connections",
    "database": "the database's limit (`alter database … connection limit …`)",
    "role": "the role's limit (`alter role … connection limit …`)",
}
_TIME_DAEMON = "run a time daemon (chrony, systemd-timesyncd) on both machines."


class Status(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # the service works, for now or in part
    FAILED = "failed"  # the service does not start, or not do its work


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` says how to mend it."""

    name: str
    status: Status
    detail: str
    advice: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it keeps the service from its work."""
        return self.status is Status.FAILED

    def document(self) -> dict[str, str | None]:
        """Return it as JSON has it."""
        return {
            "name": self.name,
            "status": self.status.value,
            "detail": self.detail,
            "advice": self.advice,
        }


def ok(name: str, detail: str) -> Finding:
    """Return that something is well."""
    return Finding(name, Status.OK, detail)


def warning(name: str, detail: str, advice: str) -> Finding:
    """Return that something is not as it should be, and that the service works all the same."""
    return Finding(name, Status.WARNING, detail, advice)


def failed(name: str, detail: str, advice: str) -> Finding:
    """Return that something keeps the service from its work."""
    return Finding(name, Status.FAILED, detail, advice)


async def database(settings: Settings) -> list[Finding]:
    """Look at the database; the bundled one is started for that long, if it exists."""
    if settings.embedded and not (settings.data_dir / "postgres").exists():
        return [ok("database", f"the first `hookline serve` makes one in {settings.data_dir}")]
    try:
        async with dsn_of(settings) as dsn:
            engine = connections.engine(dsn, pool_size=2)
            try:
                with explained(dsn):
                    return await _looked_at(settings, dsn, engine)
            finally:
                await engine.dispose()
    except HooklineError as error:
        return [failed("database", str(error), _way_in(error.__cause__))]


def _way_in(cause: BaseException | None) -> str:
    match cause and database_error(cause):
        case asyncpg.TooManyConnectionsError():
            return (
                "end sessions (`select * from pg_stat_activity` lists them), or raise PostgreSQL's"
                " max_connections, or the CONNECTION LIMIT of the database or the role."
            )
        case asyncpg.InvalidCatalogNameError():
            return "create the database, or correct its name in HOOKLINE_DATABASE_URL."
        case asyncpg.InvalidAuthorizationSpecificationError():
            return "correct the user or the password in HOOKLINE_DATABASE_URL."
    return "start it, open the way to it, or correct HOOKLINE_DATABASE_URL."


async def _looked_at(settings: Settings, dsn: str, engine: AsyncEngine) -> list[Finding]:
    sessions = await _sessions(dsn)
    if sessions.failed:
        return [sessions]  # where they are shared, whatever else is asked may fail
    async with engine.connect() as connection:
        wrong = await faults(connection)
    facts = await read_facts(engine)
    found = [
        _latency(facts),
        *_server(facts, dict(wrong)),
        sessions,
        _connections(settings, facts),
        await _clock(engine),
        _migration(facts),
    ]
    if facts.revision == newest_revision():
        found += [
            await _indexes(engine),
            await _days(settings, engine),
            *await _keys(settings, engine),
            await _targets(settings, engine),
        ]
    return found


def _latency(facts: DatabaseFacts) -> Finding:
    told = f"a round trip takes {facts.latency * 1000:.1f} ms"
    if facts.latency <= _SLOW:
        return ok("database", f"it answers; {told}")
    return warning("database", told, "move it nearer: every event waits for it.")


def _server(facts: DatabaseFacts, wrong: dict[str, str]) -> Iterator[Finding]:
    told = {
        "version": f"PostgreSQL {facts.version}",
        "encoding": facts.encoding,
        "rights": "the role may do what Hookline does",
    }
    advice = {
        "version": "upgrade PostgreSQL.",
        "encoding": "make the database anew with ENCODING 'UTF8', and restore a dump into it.",
        "rights": "as it says; then run this again.",
    }
    for name, well in told.items():
        yield failed(name, wrong[name], advice[name]) if name in wrong else ok(name, well)


async def _sessions(dsn: str) -> Finding:
    try:
        await refuse_shared_sessions(dsn)
    except ConfigurationError as error:
        return failed("sessions", str(error), "connect directly, or in session mode.")
    return ok("sessions", "each is this process's alone")


def _connections(settings: Settings, facts: DatabaseFacts) -> Finding:
    free, needed = facts.most_connections - facts.connections, 2 * settings.database_pool_size + 2
    told = f"{facts.connections} of {facts.most_connections} are in use"
    if free >= needed:
        return ok("connections", f"{told}; a process takes at most {needed}")
    return warning(
        "connections",
        f"{told}, and one more process may take {needed}",
        f"raise {_LIMITS[facts.limited_by]}, or lower DATABASE_POOL_SIZE.",
    )


async def _clock(engine: AsyncEngine) -> Finding:
    async with engine.connect() as connection:
        before = datetime.now(UTC)
        theirs = (await connection.execute(text("select clock_timestamp()"))).scalar_one()
        ours = before + (datetime.now(UTC) - before) / 2
    apart = abs((theirs - ours).total_seconds())
    told = f"PostgreSQL's and this machine's are {apart:.1f} s apart"
    if apart < _CLOCKS_DIFFER:
        return ok("clock", told)
    return (failed if apart >= _CLOCKS_APART else warning)("clock", told, _TIME_DAEMON)


def _migration(facts: DatabaseFacts) -> Finding:
    newest = newest_revision()
    if facts.revision == newest:
        return ok("migrations", f"the database is at {newest}, the newest")
    if facts.revision is None:
        return failed("migrations", "the database is empty", "run `hookline migrate`.")
    told = f"the database is at {facts.revision} and this version's is {newest}"
    if facts.revision < newest:
        return failed("migrations", told, "run `hookline migrate`.")
    return failed("migrations", told, "start the newer version that has migrated it.")


async def _indexes(engine: AsyncEngine) -> Finding:
    """Look for what a migration that was interrupted has not built."""
    missing = await missing_indexes(engine)
    if not missing:
        return ok("indexes", "every day's tables have all of theirs")
    return warning(
        "indexes",
        f"{len(missing)} of the days' tables are not built, so lists are slow: {_some(missing)}",
        "run `hookline migrate`, while the service runs too: it builds them.",
    )


async def _days(settings: Settings, engine: AsyncEngine) -> Finding:
    today = datetime.now(UTC).date()
    edge = today - timedelta(days=settings.retention_days)  # the first day that is to be kept
    first, _ = partitions.Partition("events", edge).bounds
    async with engine.connect() as connection:
        names = (await connection.execute(text(statement("queue/partitions")))).scalars().all()
        keeping = await connection.execute(text(statement("queue/waiting_before")), {"id": first})
        waited_for = sorted(keeping.scalars())
    found = {each for name in names if (each := partitions.parse(name)) is not None}
    needed = partitions.of_days([today, today + timedelta(days=1)])
    missing = sorted(each.name for each in needed if each not in found)
    told = f"{len({each.day for each in found})} days"
    if missing:
        return warning(
            "partitions",
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            "a start makes them. Where a service runs, its log says what keeps it from that.",
        )
    oldest = min(each.day for each in found)
    if oldest < edge - timedelta(days=2):
        past = f"{told}; {oldest} is past RETENTION_DAYS"
        if waited_for:
            return warning(
                "partitions",
                f"{past}: deliveries so old still wait, for {_some(waited_for)}",
                "enable these integrations, or delete them: once nothing of a day waits, it is"
                " dropped.",
            )
        return warning(
            "partitions",
            f"{past}, and nothing of it waits",
            "a service drops it within the hour. Where one runs and its log says partition.in_use,"
            " end the dump or the query that uses it.",
        )
    return ok("partitions", f"{told}, up to {max(each.day for each in found)}")


async def _keys(settings: Settings, engine: AsyncEngine) -> list[Finding]:
    """Try the keys that encrypt secrets, and look the first admin key up; neither is made here."""
    if settings.embedded and not (settings.data_dir / "encryption.keys").exists():
        return [
            failed(
                "encryption keys",
                f"{settings.data_dir / 'encryption.keys'} is missing",
                "restore it: without it no customer's secret opens.",
            )
        ]
    try:
        secret = (key.get_secret_value() for key in encryption_keys(settings))
        keyring = KeyRing.parse(",".join(secret))
    except ConfigurationError as error:  # the admin key's file is read with theirs
        advice = "put the keys back that encrypted customers' secrets: without them none opens."
        return [failed("encryption keys", str(error), advice)]
    return [await _secrets(keyring, engine), await _admin_key(settings, engine)]


async def _secrets(keyring: KeyRing, engine: AsyncEngine) -> Finding:
    rows = select(Integration).where(Integration.deleted_at.is_(None)).limit(_MOST_SECRETS)
    broken: list[str] = []
    async with Transactions(engine).reading() as session:
        integrations = (await session.scalars(rows)).all()
    for row in integrations:
        try:
            open_target(row, keyring, datetime.now(UTC))
        except DecryptionFailed:
            broken.append(row.id)
    if broken:
        return failed(
            "encryption keys",
            f"the secrets of {len(broken)} of {len(integrations)} integrations cannot be decrypted:"
            f" {_some(broken)}",
            "put the key that encrypted them back into ENCRYPTION_KEYS, or rotate their secrets.",
        )
    return ok("encryption keys", f"integrations whose secrets open: all ({len(integrations)})")


async def _admin_key(settings: Settings, engine: AsyncEngine) -> Finding:
    if (key := known_admin_key(settings)) is None:
        return ok("admin key", "the first start makes one")
    try:
        known = await KeyService(Transactions(engine)).is_admin(key)
    except ConfigurationError as error:
        return failed("admin key", str(error), "set HOOKLINE_ADMIN_KEY to another one.")
    return ok("admin key", "it is known" if known else "the next start makes it known")


async def _targets(settings: Settings, engine: AsyncEngine) -> Finding:
    origins = await _origins(engine)
    if not origins:
        return ok("egress", "there are no webhooks to look up")
    resolver = DnsResolver(settings.egress_name_servers)
    policy = EgressPolicy(settings.egress_allowed_networks, resolve=resolver)
    try:
        verdicts = await asyncio.gather(*(_vetted(policy, origin) for origin in origins))
    finally:
        policy.close()
        await resolver.aclose()
    hosts = [origin.host for origin in origins]
    lost = [host for host, each in zip(hosts, verdicts, strict=True) if each is Unresolved]
    blocked = [host for host, each in zip(hosts, verdicts, strict=True) if each is Blocked]
    if len(lost) == len(hosts) and len(hosts) > 1:
        advice = "look at /etc/resolv.conf, or set EGRESS_NAME_SERVERS."
        return failed("egress", f"none of {len(hosts)} targets' names has an address", advice)
    if lost or blocked:
        named = [f"no address: {_some(lost)}"] if lost else []
        named += [f"not public: {_some(blocked)}"] if blocked else []
        return warning(
            "egress",
            f"of targets' hosts ({len(hosts)} looked up) {'; '.join(named)}",
            "tell whose they are, or add their networks to EGRESS_ALLOWED_NETWORKS.",
        )
    told = f"targets' hosts have addresses that may be connected to ({len(hosts)} looked up)"
    return ok("egress", told)


async def _origins(engine: AsyncEngine) -> list[Origin]:
    """Return the origins of some webhooks that are on, each host once."""
    urls = (
        select(Integration.url)
        .where(Integration.enabled, Integration.type == TransmissionType.WEBHOOK.value)
        .order_by(Integration.sequence.desc())
        .limit(_MOST_HOSTS * 10)
    )
    found: dict[str, Origin] = {}
    async with Transactions(engine).reading() as session:
        for url in await session.scalars(urls):
            try:
                origin = parse_url(url).origin
            except InvalidInput:
                continue  # a damaged row: the service lists it as unreadable
            found.setdefault(origin.host, origin)
    return list(found.values())[:_MOST_HOSTS]


async def _vetted(policy: EgressPolicy, origin: Origin) -> type:
    try:
        async with asyncio.timeout(_LOOK_UP):
            return type(await policy.vet(origin, origin.host))
    except TimeoutError:
        return Unresolved


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more
