"""Every setting, with its unit, default and reason."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from hookline.settings.validation import (
    AdminKey,
    DatabaseUrl,
    Delays,
    HttpUrl,
    NameServers,
    Networks,
    Origins,
    Port,
    Seconds,
    SecretHttpUrl,
    Secrets,
)

PREFIX = "HOOKLINE_"


class Settings(BaseSettings):
    """What an operator may choose. Make one with `load_settings`, which explains what is wrong."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",  # .env may hold other programs' variables; ours are checked when loading
        frozen=True,
        hide_input_in_errors=True,
    )

    # Where it runs
    database_url: DatabaseUrl | None = Field(
        None,
        description="postgresql:// address of a PostgreSQL 15 or newer. Unset: the bundled one"
        " under DATA_DIR, so that a checkout needs no server.",
    )
    embedded_postgres: bool = Field(
        default=True,
        description="Whether the bundled PostgreSQL may stand in for DATABASE_URL. Off in the"
        " container image: a container's own disk does not outlive it.",
    )
    data_dir: Path = Field(
        Path(".data"),
        description="Directory of the bundled PostgreSQL and of generated secrets; relative to"
        " where the command starts, so that each checkout has its own.",
    )
    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address to listen on. Loopback until somebody decides otherwise.",
    )
    port: Port = Field(8080, description="Port to listen on; 0 takes a free one.")
    worker_port: Port | None = Field(
        None,
        description="Port on which `hookline worker` answers /metrics, /livez and /readyz, at"
        " HOST; 0 takes a free one. Unset: it listens on none.",
    )
    trusted_proxies: Networks = Field(
        (),
        description="Networks (CIDR, comma-separated) of the reverse proxies in front, whose"
        " X-Forwarded-For and X-Forwarded-Proto are believed. None: the address that connects"
        " is the caller's.",
    )
    cors_origins: Origins = Field(
        (),
        description="Origins, such as https://pbx.example.com, whose pages may call the API from a"
        " browser, comma-separated. None, so that no other page can.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level that is logged. INFO is one line per unit of work."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: for people on a terminal, JSON lines elsewhere."
    )

    # Secrets
    admin_key: AdminKey | None = Field(
        None,
        description="The first admin key, hk_ and at least 32 letters, digits, _ or -. Unset:"
        " generated once and kept in DATA_DIR/admin.key (mode 0600).",
    )
    encryption_keys: Secrets = Field(
        (),
        description="Keys for secrets at rest, comma-separated; the first encrypts, all decrypt,"
        " so a new one goes in front. Required with DATABASE_URL; otherwise generated once and"
        " kept in DATA_DIR/encryption.keys (mode 0600).",
    )

    # Targets
    egress_allowed_networks: Networks = Field(
        (),
        description="Networks (CIDR, comma-separated) that targets may be in although they are not"
        " public; http:// is accepted for these alone. None, so that nobody can aim the service"
        " at its own network.",
    )
    egress_ca_file: Path | None = Field(
        None,
        description="PEM file of authorities to trust for targets, besides the public ones.",
    )
    egress_name_servers: NameServers = Field(
        (),
        description="Name servers to ask for targets' addresses, such as 10.0.0.2 or 10.0.0.2:5353,"
        " comma-separated. Unset: those of the system's resolv.conf.",
    )
    egress_proxy: SecretHttpUrl | None = Field(
        None,
        description="http:// address of a proxy that every webhook goes through. Never taken from"
        " HTTP_PROXY, which would bypass the guard.",
    )
    sqs_endpoint_url: HttpUrl | None = Field(
        None, description="Address of an emulator for every SQS call. Unset: AWS itself."
    )
    sqs_max_message_bytes: int = Field(
        1_048_576,
        ge=1_024,
        le=1_048_576,
        description="Bytes of an SQS message, attributes included; AWS's bound is 1 MiB.",
    )

    # Delivery
    delivery_timeout: Seconds = Field(
        5.0,
        description="Seconds for a whole attempt, connecting and answering included. Receivers"
        " are told to answer within 5.",
    )
    retry_delays: Delays = Field(
        (5.0, 30.0, 120.0),
        description="Seconds before each retry, comma-separated, one entry a retry; `none` for no"
        " retries. A hiccup, a restart, a short outage.",
    )
    retry_delays_analytics: Delays = Field(
        (5.0, 300.0, 3_600.0),
        description="The same for events of the group analytics: records of calls that were, which"
        " must arrive, if late. Where only RETRY_DELAYS is set, it counts for these too.",
    )
    max_retries: int = Field(
        3,
        ge=0,
        le=50,
        description="Most entries that RETRY_DELAYS and RETRY_DELAYS_ANALYTICS may have. 3 is what"
        " receivers are told.",
    )
    retry_after_cap: Seconds = Field(
        3_600.0,
        description="Most seconds that a receiver's Retry-After is honoured for; a receiver must"
        " not park its deliveries for days.",
    )
    max_in_flight: int = Field(
        2_048,
        ge=16,
        le=20_000,
        description="Deliveries in one process's hands at once, under way or next in turn; bounds"
        " its memory and sockets. Far above one integration's share, so that many dead targets"
        " cannot take all of it.",
    )
    max_idle_connections: int = Field(
        2_048,
        ge=0,
        le=20_000,
        description="Connections to webhook targets that a process keeps open with nothing under"
        " way, for 30 seconds each. An origin keeps as many as it had in use at once; where all"
        " together are too many, those with more than an equal share close their oldest.",
    )
    pause_after: int = Field(
        20,
        ge=1,
        le=10_000,
        description="Attempts in a row that must fail before an integration is paused: its"
        " deliveries then wait, and cost no attempts.",
    )
    pause_after_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = Field(
        30.0,
        description="Seconds that it must have failed for besides; a busy integration fails 20"
        " times within a hiccup.",
    )
    probe_interval: Seconds = Field(
        30.0,
        description="Seconds until a paused integration is probed with one delivery; twice as long"
        " after each probe that fails.",
    )
    max_probe_interval: Seconds = Field(
        900.0,
        description="Most seconds between two probes: how long a target that is back may wait.",
    )
    auto_disable_days: Annotated[float, Field(gt=0, le=365)] = Field(
        5.0,
        description="Days after which an integration is disabled that nothing got through to.",
    )
    poll_interval: Annotated[float, Field(ge=0.05, le=60)] = Field(
        2.0,
        description="Seconds between looks for due deliveries when nothing hints at one: how late"
        " a retry or another process's leftover may start.",
    )
    lease_margin: Annotated[float, Field(ge=1, le=600)] = Field(
        10.0,
        description="Seconds that a lease outlives DELIVERY_TIMEOUT, for recording the outcome: how"
        " long a dead process's deliveries wait for another.",
    )
    shutdown_grace: Seconds = Field(
        10.0,
        description="Seconds to finish what is under way after a stop signal. Orchestrators kill"
        " after 30; what is left is delivered after its lease.",
    )

    traces: bool = Field(
        default=False,
        description="Send OpenTelemetry traces of requests and attempts, and pass their context on"
        " to receivers. Needs `pip install 'hookline[otel]'`; OTEL_EXPORTER_OTLP_ENDPOINT and its"
        " like say where to.",
    )

    # Bounds
    max_event_bytes: int = Field(
        1_048_576, ge=1_024, le=16_777_216, description="Bytes of one event: 1 MiB."
    )
    max_batch_bytes: int = Field(
        16_777_216, ge=1_024, le=268_435_456, description="Bytes of a batch's body: 16 MiB."
    )
    max_batch_events: int = Field(
        1_000, ge=1, le=10_000, description="Events in one batch; one batch is one transaction."
    )
    max_depth: int = Field(
        64,
        ge=2,
        le=200,
        description="Nested arrays and objects in an event: parsers recurse, receivers' too.",
    )
    max_pending: int = Field(
        5_000_000,
        ge=1,
        le=1_000_000_000,
        description="Deliveries that may wait; above it events are answered 429. About 0.3 kB of"
        " disk each, besides the events. What one tenant has beyond its share does not count"
        " against others, so the disk must have room for twice as many.",
    )
    max_pending_share: float = Field(
        0.1,
        ge=0.001,
        le=1,
        description="Share of MAX_PENDING that one PBX or company may fill while others wait, and"
        " one PBX of a company half of that; its events alone are answered 429 then. So a dead"
        " target of one tenant never costs others their deliveries.",
    )
    max_integrations_per_pbx: int = Field(
        100,
        ge=1,
        le=100_000,
        description="Integrations that a PBX may have, and a company for its events without a PBX;"
        " a further one is answered 409. Each may get a copy of every event.",
    )
    retention_days: int = Field(
        30, ge=1, le=3_650, description="Days that events, deliveries and attempts are kept."
    )
    statistics_days: int = Field(
        366,
        ge=1,
        le=3_650,
        description="Days that statistics by integration and hour are kept: about 1 kB for each"
        " integration and day.",
    )
    requests_per_second: float = Field(
        1_000.0,
        ge=1,
        le=1_000_000,
        description="Requests that one key may make in one process, besides sending events; twice"
        " as many at once. 429 beyond. Stops a runaway; lower it to share a busy service.",
    )
    changes_per_second: float = Field(
        50.0,
        ge=1,
        le=1_000_000,
        description="Of those, requests that one key may change something with in one process;"
        " ten times as many at once; an admin's are not counted. 429 beyond. Each has every process"
        " match events anew.",
    )
    events_per_second: float = Field(
        20_000.0,
        ge=1,
        le=1_000_000,
        description="Events that one key may send to one process, alone or in batches; twice as"
        " many at once. 429 beyond. About what one process can take: lower it so that no tenant"
        " can take all of it. Parsing that takes longer than usual counts as more events.",
    )
    max_connections: int = Field(
        4_096,
        ge=16,
        le=100_000,
        description="Connections that clients may hold open to one process. For one more, the"
        " oldest that showed no valid key is closed, then the longest idle one of the PBX or"
        " company with the most.",
    )
    max_connections_per_address: int = Field(
        256,
        ge=1,
        le=100_000,
        description="Connections from one address (IPv6: one /64) that have shown no valid key;"
        " for one more, the oldest of them is closed. Not for TRUSTED_PROXIES.",
    )
    max_streams: int = Field(
        1_000,
        ge=1,
        le=100_000,
        description="Streams (GET /v1/stream) that one process has open at a time; a key, and all"
        " keys of a PBX or company together, may have half of them. 429 beyond.",
    )
    keep_alive_timeout: float = Field(
        75.0,
        ge=1,
        le=3_600,
        description="Seconds that an idle connection is kept open. Longer than any proxy in front"
        " keeps its own (60 is usual), or a request that crosses the end gets no answer.",
    )
    max_body_memory: int = Field(
        134_217_728,
        ge=1_048_576,
        le=68_719_476_736,
        description="Bytes of all request bodies that one process reads and works on at a time:"
        " 128 MiB. A PBX or company may have a quarter of it, or one whole batch. Beyond,"
        " senders wait, then get 429.",
    )
    duplicate_window_hours: float = Field(
        48.0,
        gt=0,
        le=8_760,
        description="Hours in which the same event again is a duplicate; PBXs resend for less.",
    )
    database_pool_size: int = Field(
        6,
        ge=2,
        le=100,
        description="Connections of one process for the queue, and as many at most for records."
        " Batches keep few busy; PostgreSQL's default limit is 100 in all.",
    )

    @property
    def embedded(self) -> bool:
        """Whether the bundled Postgres under `data_dir` is the database."""
        return self.database_url is None

    @field_validator("*", mode="before")
    @classmethod
    def _trimmed(cls, value: object) -> object:
        """Drop what an editor or a secret's file leaves around a value."""
        return value.strip() if isinstance(value, str) else value

    @field_validator("data_dir", "egress_ca_file")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _any_case(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        return value.upper() if info.field_name == "log_level" else value.lower()

    @model_validator(mode="after")
    def _same_delays_where_only_the_one_is_set(self) -> Self:
        if self.model_fields_set & {"retry_delays", "retry_delays_analytics"} == {"retry_delays"}:
            object.__setattr__(self, "retry_delays_analytics", self.retry_delays)
        return self
