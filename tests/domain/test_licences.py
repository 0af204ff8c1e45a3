import pytest

from hookline.domain.selection import Licence, PbxPolicy, allows


@pytest.mark.parametrize(
    ("licence", "presence_events", "sent"),
    [
        (Licence.X_BEES, True, True),
        (Licence.X_BEES, False, True),
        (Licence.COLLABORATION, True, True),
        (Licence.COLLABORATION, False, False),
    ],
)
def test_a_covered_event_goes_out_by_licence_and_setting(
    licence: Licence, *, presence_events: bool, sent: bool
) -> None:
    pbx = PbxPolicy(company="it_w000001", licence=licence, presence_events=presence_events)
    assert allows(pbx, licensed=True) is sent


def test_a_pbx_that_was_never_described_sends_covered_events() -> None:
    assert allows(None, licensed=True)


@pytest.mark.parametrize("licence", list(Licence))
def test_an_event_that_is_not_covered_always_goes_out(licence: Licence) -> None:
    assert allows(PbxPolicy("it_w000001", licence, presence_events=False), licensed=False)


def test_licences_are_named_as_the_api_names_them() -> None:
    assert [str(licence) for licence in Licence] == ["x-bees", "collaboration"]
