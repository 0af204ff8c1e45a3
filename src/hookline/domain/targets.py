"""Where an integration's copies go, with the secrets that signing needs, opened."""

from dataclasses import dataclass, field
from enum import StrEnum


class TransmissionType(StrEnum):
    """The ways out, named as the administrator's form names them."""

    WEBHOOK = "WEBHOOK"
    AWS_SQS = "AWS_SQS"


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """An HTTPS endpoint. `secrets`: the current one, then the old one while it signs along."""

    url: str
    secrets: tuple[str, ...] = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class SqsTarget:
    """An SQS queue and the customer's AWS key for it; the secret also keys `X-SIGNATURE`."""

    url: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


Target = WebhookTarget | SqsTarget
