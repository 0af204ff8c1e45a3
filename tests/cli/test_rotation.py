import json
from ipaddress import IPv4Address

from factories import a_principal, a_webhook
from hookline.db import connections
from hookline.domain.catalogue import load_catalogue
from hookline.integrations.requests import IntegrationCreate
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.security.egress.policy import EgressPolicy
from hookline.security.secrets import KeyRing, generate_key
from support.terminal import Terminal


async def public(_host: str) -> tuple[IPv4Address, ...]:
    return (IPv4Address("93.184.215.14"),)


async def create(dsn: str, keys: str) -> str:
    engine = connections.engine(dsn)
    policy = EgressPolicy(resolve=public)
    service = IntegrationService(
        Transactions(engine), KeyRing.parse(keys), policy, load_catalogue()
    )
    made = await service.create(a_principal(), IntegrationCreate.model_validate(a_webhook()))
    await engine.dispose()
    return made.integration.id


async def test_rotation_tells_how_far_it_is_and_when_old_keys_may_go(
    terminal: Terminal, database: str
) -> None:
    old, new = generate_key(), generate_key()
    made = await create(database, old)
    code, out, err = await terminal.run(
        "keys", "rotate-encryption", DATABASE_URL=database, ENCRYPTION_KEYS=f"{new},{old}"
    )
    assert code == 0, err
    assert "under another than the first key: 1." in out
    assert "Re-encrypted: 1 of 1." in out
    assert "may be removed" in out
    newer = generate_key()
    code, out, err = await terminal.run(
        *("keys", "rotate-encryption", "--json"),
        DATABASE_URL=database,
        ENCRYPTION_KEYS=f"{newer},{new}",
    )
    assert (code, json.loads(out)) == (0, {"reencrypted": 1}), err
    code, out, err = await terminal.run(
        "keys", "rotate-encryption", DATABASE_URL=database, ENCRYPTION_KEYS=generate_key()
    )
    assert (code, "may be removed" in out) == (1, False)
    assert f"cannot be decrypted: {made}." in err
    assert "Traceback" not in err
    for key in (old, new):
        assert key not in out + err
