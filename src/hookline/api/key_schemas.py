"""API keys as the REST API takes and shows them; the key itself is in one answer alone."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from hookline.api.parameters import Timestamp
from hookline.domain.access import Role
from hookline.integrations.fields import (
    LONGEST_NAME,
    PRINTABLE,
    CompanyId,
    Document,
    Moment,
    PbxSerial,
    RequestDocument,
)
from hookline.integrations.keys import KeyState

KeyName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_NAME,
        description="What the key is for, to recognise it in lists and in what it changed.",
        examples=["CRM frontend"],
    ),
    PRINTABLE,
]


class ApiKeyCreate(RequestDocument):
    """A key to make. A manager key names one PBX or one company, an admin key neither."""

    role: Role = Field(
        description="`admin`: everything. `manager`: integrations and deliveries of one PBX or one "
        "company. `ingest`: sends events, for one PBX, one company or all."
    )
    pbx: PbxSerial | None = Field(None, description="The PBX that the key is bound to.")
    company: CompanyId | None = Field(None, description="The company that the key is bound to.")
    name: KeyName | None = None
    expires_at: Timestamp | None = Field(
        None,
        description="From when on it opens nothing; left out: never. A moment to come.",
        examples=["2126-01-31T12:00:00Z"],
    )


class ApiKey(Document):
    """What is known of a key. The key itself is not: it is kept as a hash."""

    id: UUID = Field(description="The key's id, to revoke it by.")
    hint: str = Field(
        description="The key's first characters, to recognise it by.", examples=["hk_Xa3f"]
    )
    role: Role = Field(description="What the key may do.")
    pbx: PbxSerial | None = Field(description="The PBX that it is bound to.")
    company: CompanyId | None = Field(description="The company that it is bound to.")
    name: KeyName | None
    state: KeyState = Field(description="Whether it opens anything: only a `valid` key does.")
    created_at: Moment = Field(description="When it was made.")
    expires_at: Moment | None = Field(description="When it expires; `null`: never.")
    revoked_at: Moment | None = Field(description="When it was revoked.")
    last_used_at: Moment | None = Field(
        description="When it was last used, to the minute; `null`: never."
    )


class ApiKeyCreated(ApiKey):
    """A key that was just made."""

    key: str = Field(
        description="The key, in this answer alone: nobody can show it again.",
        examples=["hk_Xa3fPq0cYb2m7eQnVtJw5sKz9uLd1oRhGi4xTy6BEcA"],
        pattern="^hk_[A-Za-z0-9_-]{32,128}$",
    )


class ApiKeyPage(Document):
    """One page of keys, newest first."""

    items: list[ApiKey] = Field(description="The page's keys.")
    next: str | None = Field(description="The `cursor` of the next page; `null` on the last one.")
