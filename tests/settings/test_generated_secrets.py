import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hookline.errors import ConfigurationError
from hookline.security.secrets import generate_key
from hookline.settings import load_settings, start_secrets
from hookline.settings.generated_secrets import ADMIN_KEY_FILE, ENCRYPTION_KEYS_FILE

FILES = (ADMIN_KEY_FILE, ENCRYPTION_KEYS_FILE)


def test_the_first_start_makes_secrets_and_later_ones_find_them(directory: Path) -> None:
    settings = load_settings(data_dir=directory / "data")

    first, second = start_secrets(settings), start_secrets(settings)

    assert first.admin_key_is_new
    assert not second.admin_key_is_new
    assert first.admin_key == second.admin_key
    assert first.encryption_keys == second.encryption_keys
    assert first.admin_key.get_secret_value().startswith("hk_")
    load_settings(admin_key=first.admin_key.get_secret_value())


def test_only_the_owner_may_read_them(directory: Path) -> None:
    start_secrets(load_settings(data_dir=directory))

    assert [stat.S_IMODE((directory / name).stat().st_mode) for name in FILES] == [0o600, 0o600]


def test_starts_at_the_same_moment_agree(directory: Path) -> None:
    settings = load_settings(data_dir=directory / "data")

    with ThreadPoolExecutor(8) as pool:
        every = list(pool.map(start_secrets, [settings] * 8))

    assert len({each.admin_key.get_secret_value() for each in every}) == 1
    assert len({each.encryption_keys for each in every}) == 1
    assert sum(each.admin_key_is_new for each in every) == 1
    assert sorted(path.name for path in (directory / "data").iterdir()) == sorted(FILES)


def test_settings_win_and_then_nothing_is_kept(directory: Path) -> None:
    keys = [generate_key(), generate_key()]
    settings = load_settings(
        data_dir=directory / "data", admin_key="hk_" + "a" * 32, encryption_keys=",".join(keys)
    )

    secrets = start_secrets(settings)

    assert secrets.admin_key.get_secret_value() == "hk_" + "a" * 32
    assert [key.get_secret_value() for key in secrets.encryption_keys] == keys
    assert not (directory / "data").exists()


def test_an_emptied_file_is_refused_and_not_replaced(directory: Path) -> None:
    (directory / ADMIN_KEY_FILE).touch()

    with pytest.raises(ConfigurationError, match="is empty; restore it"):
        start_secrets(load_settings(data_dir=directory))

    assert (directory / ADMIN_KEY_FILE).read_bytes() == b""


def test_a_directory_that_cannot_be_written_is_named(directory: Path) -> None:
    (directory / "data").write_text("a file where the directory should be")

    with pytest.raises(ConfigurationError, match="HOOKLINE_DATA_DIR"):
        start_secrets(load_settings(data_dir=directory / "data"))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o177])
def test_a_data_directory_lists_to_its_owner_alone_whatever_the_umask_is(
    directory: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        start_secrets(load_settings(data_dir=directory / "made"))
    finally:
        os.umask(before)
    mode = stat.S_IMODE((directory / "made").stat().st_mode)
    assert mode == (0o711 if os.geteuid() == 0 else 0o700)
