"""The REST API as a test calls it, and keys to call it with."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from hookline.domain.access import Role
from hookline.integrations.keys import KeyService


class Api:
    """A client whose key is chosen call by call: `await api.get(path, key=manager)`.

    The key is the admin's unless another is named; None sends none at all.
    """

    def __init__(self, client: httpx.AsyncClient, key: str) -> None:
        self.client = client
        self._key = key

    async def request(
        self,
        method: str,
        path: str,
        *,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
        **rest: Any,  # noqa: ANN401  # httpx's own arguments
    ) -> httpx.Response:
        sent = httpx.Headers(headers)
        if key is not None:
            sent["Authorization"] = f"Bearer {key or self._key}"
        if (document := rest.pop("json", None)) is not None:
            rest["content"] = json.dumps(document)  # ASCII: httpx can't send a lone surrogate
            sent.setdefault("Content-Type", "application/json")
        return await self.client.request(method, path, headers=sent, **rest)

    async def get(self, path: str, **rest: Any) -> httpx.Response:  # noqa: ANN401  # the same
        return await self.request("GET", path, **rest)

    async def post(self, path: str, document: object = None, **rest: Any) -> httpx.Response:  # noqa: ANN401  # the same
        return await self.request("POST", path, json=document, **rest)

    async def patch(self, path: str, document: object = None, **rest: Any) -> httpx.Response:  # noqa: ANN401  # the same
        rest.setdefault("headers", {})["Content-Type"] = "application/merge-patch+json"
        return await self.request("PATCH", path, json=document, **rest)

    async def put(self, path: str, document: object = None, **rest: Any) -> httpx.Response:  # noqa: ANN401  # the same
        return await self.request("PUT", path, json=document, **rest)

    async def delete(self, path: str, **rest: Any) -> httpx.Response:  # noqa: ANN401  # the same
        return await self.request("DELETE", path, **rest)


class Keys:
    """Makes keys that a test needs."""

    def __init__(self, service: KeyService) -> None:
        self.service = service

    async def admin(self) -> str:
        return (await self.service.create(Role.ADMIN)).key

    async def manager(self, *, pbx: str | None = None, company: str | None = None) -> str:
        return (await self.service.create(Role.MANAGER, pbx=pbx, company=company)).key

    async def ingest(self, *, pbx: str | None = None, company: str | None = None) -> str:
        return (await self.service.create(Role.INGEST, pbx=pbx, company=company)).key

    async def revoke_newest(self) -> None:
        newest, *_ = await self.service.all()
        await self.service.revoke(newest.id)

    async def expired(self) -> str:
        return (
            await self.service.create(
                Role.ADMIN, expires_at=datetime.now(UTC) + timedelta(seconds=-1)
            )
        ).key

    async def revoked(self) -> str:
        key = (await self.service.create(Role.ADMIN, name="to be revoked")).key
        await self.revoke_newest()
        return key
