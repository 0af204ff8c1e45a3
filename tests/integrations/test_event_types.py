import pytest

from hookline.domain.catalogue import load_catalogue
from hookline.errors import Unavailable
from hookline.integrations import event_types
from hookline.integrations.event_types import UnknownTypes
from hookline.integrations.revision import Transactions
from support.postgres_clients import ask


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(event_types, "MOST_NAMES", 3)
    return 3


async def counts(types: UnknownTypes) -> dict[str, int]:
    return {each.name: each.count for each in await types.all()}


async def test_processes_add_up_what_they_saw(transactions: Transactions, database: str) -> None:
    one, other = (UnknownTypes(transactions, load_catalogue()) for _ in range(2))
    one.saw(["new:b", "new:a", "new:a", "call:completed"])
    other.saw(["new:a"])
    await one.flush()
    await other.aclose()
    assert await counts(one) == {"new:a": 3, "new:b": 1}
    await ask(database, "with gone as (delete from unknown_event_types) select 1")


async def test_names_made_up_do_not_push_out_what_really_comes(
    transactions: Transactions, database: str, few: int
) -> None:
    types = UnknownTypes(transactions, load_catalogue())
    types.saw(["real:one"] * 2)
    await types.flush()
    for batch in range(5):
        types.saw(f"made:{batch}:{number}" for number in range(10))
        await types.flush()
    kept = await counts(types)
    assert len(kept) == few
    assert kept["real:one"] == 2
    assert {name.partition(":")[0] for name in kept} == {"real", "made"}
    await ask(database, "with gone as (delete from unknown_event_types) select 1")


async def test_what_could_not_be_written_is_kept(
    transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = UnknownTypes(transactions, load_catalogue())
    types.saw(["late:one"])

    def away() -> None:
        raise Unavailable("The database is away; try again.")

    with monkeypatch.context() as patched:
        patched.setattr(transactions, "noting", away)
        with pytest.raises(Unavailable):
            await types.flush()
        types.saw(["late:one"])
    assert (await counts(types))["late:one"] == 2
