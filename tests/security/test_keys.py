from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.security.keys import hash_key, is_key, new_key


def test_a_new_key_is_recognised_and_long_enough() -> None:
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert all(is_key(key) for key in keys)
    assert {len(key) for key in keys} == {46}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hk_",
        "hk_short",
        "x" * 46,
        "sk_" + "a" * 43,
        "hk_" + "a" * 31,
        "hk_" + "a" * 129,
        "hk_" + "a" * 42 + " ",
        "hk_" + "a" * 43 + "\n",
        "hk_" + "é" * 43,
    ],
)
def test_what_is_no_key_is_not_looked_up(text: str) -> None:
    assert not is_key(text)


def test_a_hash_is_the_sha_256_of_the_key() -> None:
    key = new_key()
    assert hash_key(key) == sha256(key.encode()).digest()


def test_two_keys_have_two_hashes() -> None:
    assert hash_key(new_key()) != hash_key(new_key())


@given(st.text(st.characters(codec=None)))
def test_any_text_can_be_hashed(text: str) -> None:
    assert len(hash_key(text)) == 32
