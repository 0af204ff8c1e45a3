"""API keys: their form and their hash, and what each may see, manage and send."""

import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

from hookline.errors import FieldProblem, InvalidInput

LONGEST_ID: Final = 64  # characters of a PBX's serial and of a company's id
LONGEST_NAME: Final = 200  # characters of what people call a key or an integration
UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What no one line of text holds: control characters, line breaks and lone surrogates."""

_PREFIX: Final = "hk_"  # tells people, logs and secret scanners what they look at
_RANDOM_BYTES: Final = 32
KEY_FORM: Final = "`hk_` and 32 to 128 letters, digits, - or _"
_FORM: Final = re.compile(r"hk_[A-Za-z0-9_-]{32,128}", re.ASCII)


class Role(StrEnum):
    """What a key is for."""

    ADMIN = "admin"  # everything
    MANAGER = "manager"  # integrations and deliveries of one PBX or one company
    INGEST = "ingest"  # sends events, for one PBX, one company or all; sees nothing


class Tenant(NamedTuple):
    """Whose something is: a PBX's, a company's, or a PBX's that is on record as a company's."""

    company: str | None
    pbx: str | None

    def __str__(self) -> str:
        pbx, company = f"PBX {self.pbx}", f"company {self.company}"
        if self.company is None:
            return pbx
        return company if self.pbx is None else f"{pbx} of {company}"


def check_scope(role: Role, *, pbx: str | None, company: str | None) -> None:
    """Refuse, as InvalidInput, a scope that does not belong to the role."""
    if pbx is not None and company is not None:
        raise InvalidInput(
            FieldProblem("company", "Bind a key to a PBX or a company, not to both.")
        )
    bound = pbx is not None or company is not None
    if role is Role.ADMIN and bound:
        raise InvalidInput(
            FieldProblem("role", "An admin key is for everything: leave the PBX and company out.")
        )
    if role is Role.MANAGER and not bound:
        raise InvalidInput(
            FieldProblem("role", "A manager key is for one PBX or one company: name it.")
        )


def check_texts(*, pbx: str | None, company: str | None, name: str | None) -> None:
    """Refuse, as InvalidInput, what a new key can't be bound to or be called."""
    wrong = [
        FieldProblem(field, f"Write 1 to {most} characters in one line, or leave it out.")
        for field, text, most in (
            ("pbx", pbx, LONGEST_ID),
            ("company", company, LONGEST_ID),
            ("name", name, LONGEST_NAME),
        )
        if text is not None and (not 1 <= len(text) <= most or UNPRINTABLE.search(text))
    ]
    if wrong:
        raise InvalidInput(*wrong)


@dataclass(frozen=True, slots=True)
class Principal:
    """A key that was recognised. Its scope fits its role: InvalidInput otherwise."""

    key_id: UUID
    role: Role
    name: str
    pbx: str | None = None
    company: str | None = None

    def __post_init__(self) -> None:
        check_scope(self.role, pbx=self.pbx, company=self.company)

    @property
    def label(self) -> str:
        """What others are told of who did something: the key's name, or else its id."""
        return self.name or f"key {self.key_id}"

    @property
    def unbound(self) -> bool:
        """Whether it is for all tenants: a key of the operator's own systems."""
        return self.pbx is None and self.company is None

    @property
    def is_admin(self) -> bool:
        """Whether everything is allowed."""
        return self.role is Role.ADMIN

    @property
    def manages(self) -> bool:
        """Whether integrations and deliveries are this key's business at all."""
        return self.role is not Role.INGEST

    @property
    def sends(self) -> bool:
        """Whether events are taken from this key at all."""
        return self.role is not Role.MANAGER

    def covers(self, pbx: str | None, company: str | None) -> bool:
        """Whether an object of this PBX and company is inside the key's scope."""
        if self.pbx is not None:
            return pbx == self.pbx
        return self.company is None or company == self.company

    def sees(self, pbx: str | None, company: str | None) -> bool:
        """Whether the key may know that an object of this PBX and company exists."""
        return self.manages and self.covers(pbx, company)

    def may_send(self, pbx: str | None, company: str) -> bool:
        """Whether the key may send an event with these fields.

        An event that names no PBX is taken for the PBX of the key, if it has one.
        """
        return self.sends and self.covers(pbx or self.pbx, company)


def new_key() -> str:
    """Return `hk_` and 43 URL-safe characters, 256 bits of them random."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def is_key(text: str) -> bool:
    """Whether a text has the form of a key, so that looking it up makes sense."""
    return _FORM.fullmatch(text) is not None


def hash_key(key: str) -> bytes:
    """Return the 32 bytes that are stored and looked up in place of the key.

    Plain SHA-256: a slow, salted hash protects what people make up and reuse, and a key is 256
    random bits, which nobody can search; it is hashed on every request. A look-up by the hash may
    take a time that depends on the hash, which tells nothing of any key: whoever times it chooses
    the key, and hashes of keys that differ in one character have nothing in common.
    """
    return sha256(key.encode(errors="surrogatepass")).digest()
