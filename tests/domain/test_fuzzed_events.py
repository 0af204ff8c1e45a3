import random

import pytest

from support.fuzz import broken, check, corpus

SAMPLES = corpus()


@pytest.mark.parametrize("seed", range(10))
def test_a_broken_envelope_is_refused_or_canonical(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    taken = sum(check(broken(SAMPLES, chance)) for _ in range(500))
    assert 50 < taken < 450  # both ways are walked


def test_an_unbroken_sample_is_taken() -> None:
    *events, batch = SAMPLES
    assert all(check(event) for event in events)
    assert not check(batch)
