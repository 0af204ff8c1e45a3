"""Queue URLs: which of them are AWS's own, and what can be read from one.

A queue's URL decides where Hookline connects, so only the host forms that AWS documents or that its
SDK's endpoint data names pass, in every partition, and nothing else: no other port, no user, no
query, no VPC endpoint's private name. Checked when an integration is saved and again at each send.
"""

import re
from dataclasses import dataclass

from hookline.errors import FieldProblem, InvalidInput

FIELD = "transmission.url"
_EXAMPLE = "https://sqs.eu-central-1.amazonaws.com/123456789012/my-queue"
_LONGEST_URL = 512  # characters; the longest host, an account and 80 characters of name are < 200
_PATH = re.compile(
    r"/(?P<account>[0-9]{12})/(?P<name>[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo)"
)


@dataclass(frozen=True, slots=True)
class QueueUrl:
    """A queue as its URL names it; `host` is lower case."""

    host: str
    region: str
    account: str
    name: str

    @property
    def fifo(self) -> bool:
        """Whether the queue keeps the order of each message group."""
        return self.name.endswith(".fifo")

    @property
    def endpoint(self) -> str:
        """The address that requests for this queue go to."""
        return f"https://{self.host}"

    @property
    def url(self) -> str:
        """The queue's URL with a lower-case host and without a port."""
        return f"https://{self.host}/{self.account}/{self.name}"


@dataclass(frozen=True, slots=True)
class _Partition:
    """One of AWS's separate clouds: its regions, and where SQS answers in it."""

    regions: tuple[str, ...]
    suffix: str
    dual_stack: str

    def hosts(self) -> re.Pattern[str]:
        """Match every host that SQS has in this partition; the group `region` names its region."""
        region = f"(?P<region>{'|'.join(self.regions)})"
        plain, dual = re.escape(self.suffix), re.escape(self.dual_stack)
        modern = rf"sqs(?:-fips)?\.{region}\.(?:{plain}|{dual})"
        return re.compile(rf"{modern}|{region.replace('region', 'legacy')}\.queue\.{plain}")


# AWS's SDK's own list (botocore's partitions.json): a test says when it has grown.
_PARTITIONS = (
    _Partition(
        (
            "af-south-1",
            "ap-east-1",
            "ap-east-2",
            "ap-northeast-1",
            "ap-northeast-2",
            "ap-northeast-3",
            "ap-south-1",
            "ap-south-2",
            "ap-southeast-1",
            "ap-southeast-2",
            "ap-southeast-3",
            "ap-southeast-4",
            "ap-southeast-5",
            "ap-southeast-6",
            "ap-southeast-7",
            "ca-central-1",
            "ca-west-1",
            "eu-central-1",
            "eu-central-2",
            "eu-north-1",
            "eu-south-1",
            "eu-south-2",
            "eu-west-1",
            "eu-west-2",
            "eu-west-3",
            "il-central-1",
            "me-central-1",
            "me-south-1",
            "mx-central-1",
            "sa-east-1",
            "us-east-1",
            "us-east-2",
            "us-west-1",
            "us-west-2",
        ),
        "amazonaws.com",
        "api.aws",
    ),
    _Partition(
        ("cn-north-1", "cn-northwest-1"), "amazonaws.com.cn", "api.amazonwebservices.com.cn"
    ),
    _Partition(("eusc-de-east-1",), "amazonaws.eu", "api.amazonwebservices.eu"),
    _Partition(("us-iso-east-1", "us-iso-west-1"), "c2s.ic.gov", "api.aws.ic.gov"),
    _Partition(("us-isob-east-1", "us-isob-west-1"), "sc2s.sgov.gov", "api.aws.scloud"),
    _Partition(("eu-isoe-west-1",), "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    _Partition(("us-isof-east-1", "us-isof-south-1"), "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    _Partition(("us-gov-east-1", "us-gov-west-1"), "amazonaws.com", "api.aws"),
)
_HOSTS = tuple(partition.hosts() for partition in _PARTITIONS)
_UNKNOWN_REGION = re.compile(
    r"sqs(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:"
    + "|".join(re.escape(end) for p in _PARTITIONS for end in (p.suffix, p.dual_stack))
    + ")"
)
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<netloc>[^/?#\[\]]*)"
    r"(?P<path>(?:/[^?#]*)?)(?P<behind>(?:[?#].*)?)"
)
_OLDEST_HOST = "queue.amazonaws.com"  # us-east-1, from before regions were in the name


def parse_queue_url(url: str) -> QueueUrl:
    """Read a queue's URL; `InvalidInput` (field `transmission.url`) says what is wrong with it."""
    parts = _split(url)
    if parts["scheme"].lower() != "https":
        raise _wrong("The queue's URL must begin with https://.")
    host = _host(parts)
    region = _region(host)
    if region is None and (unknown := _UNKNOWN_REGION.fullmatch(host)):
        raise _wrong(
            f"AWS has no region {unknown['region']!r} at this host; check the queue's URL."
        )
    if region is None:
        raise _wrong(
            f"{host!r} is not a host of AWS SQS; copy the queue's URL from the AWS console,"
            f" for example {_EXAMPLE}."
        )
    path = _PATH.fullmatch(parts["path"])
    if path is None:
        raise _wrong(
            "After the host, the URL must hold the account's 12 digits and the queue's name,"
            f" for example {_EXAMPLE}."
        )
    return QueueUrl(host, region, path["account"], path["name"])


def _split(url: str) -> re.Match[str]:
    """Return the parts of a URL; the standard library's urlsplit keeps what it splits."""
    if len(url) > _LONGEST_URL or not url.isascii() or any(c <= " " or c in "\\\x7f" for c in url):
        raise _wrong(f"This is not the URL of a queue; one looks like {_EXAMPLE}.")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise _wrong(f"This is not a URL; a queue's looks like {_EXAMPLE}.")
    return parts


def _host(parts: re.Match[str]) -> str:
    """Return the bare, lower-case host; everything that could point elsewhere is refused."""
    if "@" in parts["netloc"]:
        raise _wrong("The queue's URL must not hold a user name or a password.")
    if parts["behind"].strip("?#"):
        raise _wrong("The queue's URL must end after the queue's name.")
    host, colon, port = parts["netloc"].lower().partition(":")
    if colon and port != "443":
        raise _wrong("The queue's URL must not name a port.")
    return host


def _region(host: str) -> str | None:
    if host == _OLDEST_HOST:
        return "us-east-1"
    for pattern in _HOSTS:
        if match := pattern.fullmatch(host):
            return match["region"] or match["legacy"]
    return None


def _wrong(message: str) -> InvalidInput:
    return InvalidInput(FieldProblem(FIELD, message))
