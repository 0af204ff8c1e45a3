"""`delivery`: what events are worth to an integration, by group, as it is sent and shown."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from hookline.domain.group_policies import LONGEST_AGE, LONGEST_DELAY, MOST_RETRIES
from hookline.integrations.fields import Document, RequestDocument

RetryDelays = Annotated[
    list[Annotated[float, Field(ge=0, le=LONGEST_DELAY, strict=True, allow_inf_nan=False)]],
    Field(
        max_length=MOST_RETRIES,
        description="Seconds before each retry, at most 3; an empty list for no retries. Left out: "
        "the service's own. A receiver's `Retry-After`, and a pause, can make it longer.",
        examples=[[5, 300, 3600]],
    ),
]
MaxAge = Annotated[
    float,
    Field(
        ge=1,
        le=LONGEST_AGE,
        strict=True,
        allow_inf_nan=False,
        description="Seconds after its acceptance for which an event is sent; then it is skipped "
        "as `stale`, whatever it waits for. Counts for events that are accepted from now on. Left "
        "out: events are sent however old they are.",
        examples=[30],
    ),
]
Keep = Annotated[
    Literal["latest"],
    Field(
        description="`latest`: while several events of one type and subject wait, only the newest "
        "is sent; the others are skipped as `superseded`. Counts for events that are accepted from "
        "now on. Left out: each is sent.",
        examples=["latest"],
    ),
]
KeepPatch = Annotated[  # no closed list: orval gives up at one that may be null
    str, Field(pattern="^latest$", description="As in the integration.", examples=["latest"])
]
_BY_GROUP = (
    "What the events of a group are worth, by group; a group that is left out is delivered as "
    "the service does by default."
)
_EXAMPLES = [
    {
        "call": {"maxAge": 30},
        "presence": {"keep": "latest"},
        "analytics": {"retryDelays": [5, 300, 3600]},
    }
]


def _is_left_out(value: object) -> bool:
    return value is None


class GroupDelivery(Document):
    """How the events of one group are delivered, where that is not as by default."""

    retry_delays: RetryDelays | None = Field(None, exclude_if=_is_left_out)
    max_age: MaxAge | None = Field(None, exclude_if=_is_left_out)
    keep: Keep | None = Field(None, exclude_if=_is_left_out)


class GroupDeliveryCreate(RequestDocument):
    """How the events of one group are to be delivered, where that is not as by default."""

    retry_delays: RetryDelays | None = None
    max_age: MaxAge | None = None
    keep: Keep | None = None


class GroupDeliveryPatch(RequestDocument):
    """Changes of how one group's events are delivered: `null` goes back to the default."""

    retry_delays: RetryDelays | None = Field(default_factory=lambda: None)
    max_age: MaxAge | None = Field(default_factory=lambda: None)
    keep: KeepPatch | None = Field(default_factory=lambda: None)


DeliveryByGroup = TypeAliasType(
    "DeliveryByGroup",
    Annotated[dict[str, GroupDelivery], Field(description=_BY_GROUP, examples=_EXAMPLES)],
)
DeliveryByGroupCreate = TypeAliasType(
    "DeliveryByGroupCreate",
    Annotated[dict[str, GroupDeliveryCreate], Field(description=_BY_GROUP, examples=_EXAMPLES)],
)
DeliveryByGroupPatch = TypeAliasType(
    "DeliveryByGroupPatch",
    Annotated[
        dict[str, GroupDeliveryPatch | None],
        Field(
            description="Changes of how events are delivered, by group: one that is left out stays "
            "as it is, and one that is `null` is delivered as by default.",
            examples=[{"call": {"maxAge": 60}, "presence": None}],
        ),
    ],
)
