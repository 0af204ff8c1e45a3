"""What an administrator does with the generated Python client; prints what it saw, as JSON."""

import json
import os
import sys
from datetime import UTC, datetime, timedelta

from hookline_client import AuthenticatedClient
from hookline_client.api.integrations import list_integrations
from hookline_client.api.keys import create_key, list_keys, revoke_key
from hookline_client.api.system import get_system
from hookline_client.models import (
    ApiKeyCreate,
    ApiKeyCreated,
    ApiKeyPage,
    IntegrationPage,
    KeyState,
    Problem,
    Role,
    SystemOverview,
)

PBX = "000000000009"


def main() -> None:
    url = os.environ["HOOKLINE"]
    with AuthenticatedClient(base_url=url, token=os.environ["KEY"]) as client:
        seen = {"keys": keys(url, client), "system": system(client)}
    sys.stdout.write(json.dumps(seen))


def keys(url: str, client: AuthenticatedClient) -> dict[str, object]:
    until = datetime.now(UTC) + timedelta(hours=1)
    new = ApiKeyCreate(role=Role.MANAGER, pbx=PBX, name="Session", expires_at=until)
    made = create_key.sync(client=client, body=new)
    assert isinstance(made, ApiKeyCreated), made
    with AuthenticatedClient(base_url=url, token=made.key) as session:
        opened = list_integrations.sync(client=session)
        assert isinstance(opened, IntegrationPage), opened
        revoked = revoke_key.sync_detailed(made.id, client=client)
        refused = list_integrations.sync(client=session)
    assert isinstance(refused, Problem), refused
    listed = list_keys.sync(client=client, pbx=PBX, role=Role.MANAGER, state=KeyState.REVOKED)
    assert isinstance(listed, ApiKeyPage), listed
    return {
        "opened": len(opened.items),
        "revoked": int(revoked.status_code),
        "then": refused.type_,
        "listed": [key.name for key in listed.items if key.id == made.id],
    }


def system(client: AuthenticatedClient) -> dict[str, object]:
    found = get_system.sync(client=client)
    assert isinstance(found, SystemOverview), found
    [engine] = found.engines
    return {
        "api": engine.api,
        "current": found.migrations.current == found.migrations.newest,
        "pending": found.backlog.pending,
        "oldestDue": found.oldest_due,
    }


if __name__ == "__main__":
    main()
