import pickle
from base64 import b64decode, b64encode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.errors import ConfigurationError, DecryptionFailed
from hookline.security.secrets import KeyRing, generate_key

FIRST, SECOND = generate_key(), generate_key()
RING = KeyRing.parse(FIRST)
ROW = "integrations/s95eum/secret"


@given(plaintext=st.text(), bound_to=st.text())
def test_what_was_encrypted_is_decrypted_in_its_place(plaintext: str, bound_to: str) -> None:
    assert RING.decrypt(RING.encrypt(plaintext, bound_to), bound_to) == plaintext


@given(bound_to=st.text(), other=st.text())
def test_it_opens_in_no_other_place(bound_to: str, other: str) -> None:
    encrypted = RING.encrypt("secret", bound_to)
    if other != bound_to:
        with pytest.raises(DecryptionFailed):
            RING.decrypt(encrypted, other)


@given(st.data())
def test_one_wrong_bit_anywhere_fails_decryption(data: st.DataObject) -> None:
    encrypted = bytearray(RING.encrypt("secret", ROW))
    bit = data.draw(st.integers(min_value=0, max_value=len(encrypted) * 8 - 1))
    encrypted[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DecryptionFailed):
        RING.decrypt(bytes(encrypted), ROW)


@given(st.data())
def test_shortened_bytes_are_not_decrypted(data: st.DataObject) -> None:
    encrypted = RING.encrypt("secret", ROW)
    length = data.draw(st.integers(min_value=0, max_value=len(encrypted) - 1))
    with pytest.raises(DecryptionFailed):
        RING.decrypt(encrypted[:length], ROW)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_not_decrypted(encrypted: bytes) -> None:
    with pytest.raises(DecryptionFailed):
        RING.decrypt(encrypted, ROW)


def test_encrypting_twice_gives_different_bytes_and_shows_no_text() -> None:
    one, other = RING.encrypt("plain-secret", ROW), RING.encrypt("plain-secret", ROW)
    assert one != other
    assert b"plain-secret" not in one + other


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    before = RING.encrypt("secret", ROW)
    rotating = KeyRing.parse(f"{SECOND},{FIRST}")
    assert rotating.decrypt(before, ROW) == "secret"
    assert not rotating.encrypted_with_current(before)
    after = rotating.encrypt(rotating.decrypt(before, ROW), ROW)
    assert rotating.encrypted_with_current(after)
    assert KeyRing.parse(SECOND).decrypt(after, ROW) == "secret"


def test_a_key_that_is_not_on_the_ring_is_told_as_such() -> None:
    with pytest.raises(DecryptionFailed, match="HOOKLINE_ENCRYPTION_KEYS"):
        KeyRing.parse(SECOND).decrypt(RING.encrypt("secret", ROW), ROW)


def test_spaces_and_the_url_safe_alphabet_are_taken() -> None:
    safe = urlsafe_b64encode(b64decode(FIRST)).decode()
    ring = KeyRing.parse(f" {safe} , {SECOND} ")
    assert ring.decrypt(RING.encrypt("secret", ROW), ROW) == "secret"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Key 1 of HOOKLINE_ENCRYPTION_KEYS is empty"),
        (f"{FIRST},", "Key 2 of HOOKLINE_ENCRYPTION_KEYS is empty"),
        (f"{FIRST},p!ssword", "Key 2 of HOOKLINE_ENCRYPTION_KEYS is not base64"),
        ("pässword", "Key 1 of HOOKLINE_ENCRYPTION_KEYS is not base64"),
        (b64encode(b"x" * 16).decode(), "has 16 bytes instead of 32"),
        (b64encode(b"x" * 33).decode(), "has 33 bytes instead of 32"),
        (f"{FIRST},{FIRST}", "names the same key twice"),
    ],
    ids=("empty", "second empty", "no base64", "not ASCII", "short", "long", "twice"),
)
def test_a_wrong_key_is_told_by_its_place_and_not_shown(text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        KeyRing.parse(text)
    told = f"{caught.value} {caught.value.__cause__!r}"
    assert not any(part and part in told for part in text.split(","))


def test_a_ring_never_shows_or_hands_over_its_keys() -> None:
    for shown in (repr(RING), str(RING), f"{RING}"):
        assert FIRST not in shown
        assert b64decode(FIRST).hex() not in shown
        assert str(b64decode(FIRST)) not in shown
    with pytest.raises(TypeError):
        pickle.dumps(RING)


def test_generated_keys_differ_and_are_taken() -> None:
    keys = {generate_key() for _ in range(10)}
    assert len(keys) == 10
    assert repr(KeyRing.parse(",".join(keys))).startswith("KeyRing(10 keys")
