from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr

from hookline.errors import ConfigurationError
from hookline.security.secrets import generate_key
from hookline.settings import PREFIX, Settings, load_settings, source_of

DATABASE_URL = "postgresql://hookline:pa55word@db.example.com/hookline"


def set_all(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"{PREFIX}{name}", value)


def test_nothing_needs_to_be_set(directory: Path) -> None:
    settings = load_settings()

    assert settings.embedded
    assert settings.data_dir == directory / ".data"
    assert settings.host == "127.0.0.1"
    assert settings.port == 8080
    assert list(settings.retry_delays) == [5, 30, 120]
    assert not settings.egress_allowed_networks


def test_every_setting_says_what_it_is_for(subtests: pytest.Subtests) -> None:
    for field in Settings.model_fields:
        with subtests.test(field):
            description = Settings.model_fields[field].description

            assert description is not None
            assert description.endswith(".")


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(
        monkeypatch,
        RETRY_DELAYS="0.5, 2",
        EGRESS_ALLOWED_NETWORKS="127.0.0.0/8,::1/128",
        ENCRYPTION_KEYS="new,old",
    )

    settings = load_settings()

    assert list(settings.retry_delays) == [0.5, 2]
    assert settings.egress_allowed_networks == (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert [key.get_secret_value() for key in settings.encryption_keys] == ["new", "old"]


def test_retry_delays_count_for_analytics_unless_those_have_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_settings().retry_delays_analytics == (5, 300, 3600)
    set_all(monkeypatch, RETRY_DELAYS="1,2")
    assert load_settings().retry_delays_analytics == (1, 2)
    set_all(monkeypatch, RETRY_DELAYS="1,2", RETRY_DELAYS_ANALYTICS="7")
    assert load_settings().retry_delays_analytics == (7,)


def test_none_is_the_empty_list(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, RETRY_DELAYS="none", MAX_RETRIES="0")

    assert not load_settings().retry_delays


def test_spaces_around_a_value_are_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = "hk_" + "k" * 40
    for name, value in (
        ("HOST", "  ::1 "),
        ("PORT", " 9001 "),
        ("ADMIN_KEY", f"{admin}\n"),
        ("DATABASE_URL", " postgresql://db.example/hookline\t"),
        ("ENCRYPTION_KEYS", f" {generate_key()} "),
    ):
        monkeypatch.setenv(f"HOOKLINE_{name}", value)
    settings = load_settings()
    assert (settings.host, settings.port) == ("::1", 9001)
    assert settings.admin_key == SecretStr(admin)
    assert settings.database_url == SecretStr("postgresql://db.example/hookline")


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, PORT="", DATABASE_URL="")

    settings = load_settings()

    assert settings.port == 8080
    assert settings.embedded


def test_dotenv_is_read_and_the_environment_wins(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / ".env").write_text("HOOKLINE_PORT=9001\nHOOKLINE_HOST=::1\nOTHER_TOOL=1\n")
    set_all(monkeypatch, PORT="9002")

    settings = load_settings()

    assert settings.port == 9002
    assert settings.host == "::1"
    assert source_of("port") == "environment"
    assert source_of("host") == ".env"
    assert source_of("log_level") == "default"


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"DATABASE_URL": DATABASE_URL}, "Set HOOKLINE_ENCRYPTION_KEYS"),
        ({"DATABASE_URL": "mysql://db/x", "ENCRYPTION_KEYS": "k"}, "start with postgresql://"),
        ({"EMBEDDED_POSTGRES": "false"}, "Set HOOKLINE_DATABASE_URL"),
        ({"RETRY_DELAYS": "1,2,3,4"}, "shorten the one or raise the other"),
        ({"RETRY_DELAYS_ANALYTICS": "1,2,3,4"}, "HOOKLINE_RETRY_DELAYS_ANALYTICS has 4"),
        ({"RETRY_DELAYS": "5,soon"}, "HOOKLINE_RETRY_DELAYS (entry 2)"),
        ({"RETRY_DELAYS": "-1"}, "HOOKLINE_RETRY_DELAYS (entry 1)"),
        ({"EGRESS_ALLOWED_NETWORKS": "10.0.0.1/8"}, "has host bits set"),
        ({"EGRESS_ALLOWED_NETWORKS": "intranet"}, "write networks as 10.0.0.0/8"),
        ({"EGRESS_CA_FILE": "missing.pem"}, "is not a file"),
        ({"EGRESS_PROXY": "socks5://proxy"}, "HOOKLINE_EGRESS_PROXY: must start with http://"),
        ({"SQS_ENDPOINT_URL": "localhost:4566"}, "HOOKLINE_SQS_ENDPOINT_URL: must start with"),
        ({"ADMIN_KEY": "hk_short"}, "HOOKLINE_ADMIN_KEY: must be hk_ and 32 to 128"),
        ({"ADMIN_KEY": "x" * 40}, "HOOKLINE_ADMIN_KEY: must be hk_ and 32 to 128"),
        ({"PORT": "70000"}, "HOOKLINE_PORT: must be at most 65535."),
        ({"PORT": "-1"}, "HOOKLINE_PORT: must be at least 0."),
        ({"PORT": "web"}, "HOOKLINE_PORT: must be a whole number."),
        ({"DELIVERY_TIMEOUT": "5s"}, "HOOKLINE_DELIVERY_TIMEOUT: must be a number."),
        ({"DELIVERY_TIMEOUT": "0"}, "HOOKLINE_DELIVERY_TIMEOUT: must be more than 0."),
        ({"MAX_PENDING": "0"}, "HOOKLINE_MAX_PENDING: must be at least 1"),
        ({"TRACES": "maybe"}, "HOOKLINE_TRACES: must be true or false."),
        ({"LOG_LEVEL": "loud"}, "HOOKLINE_LOG_LEVEL: must be 'DEBUG', 'INFO'"),
        ({"PORT": "tcp://10.0.0.1:80"}, "enableServiceLinks"),
        ({"MAX_EVENT_BYTES": "2048", "MAX_BATCH_BYTES": "1024"}, "a batch of one event must fit"),
        ({"RETENTION_DAYS": "1"}, "must not exceed the 24 hours"),
        ({"DATABSE_URL": "x"}, "did you mean HOOKLINE_DATABASE_URL?"),
        ({"COLOUR": "blue"}, "HOOKLINE_COLOUR is not one of Hookline's settings"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_set(
    variables: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, **variables)

    with pytest.raises(ConfigurationError) as refusal:
        load_settings()

    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_misspelt_name_in_dotenv_is_refused_too(directory: Path) -> None:
    (directory / ".env").write_text("HOOKLINE_PROT=9001\n")

    with pytest.raises(ConfigurationError, match="did you mean HOOKLINE_PORT"):
        load_settings()


def test_what_kubernetes_injects_for_a_service_is_no_misspelt_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_all(monkeypatch, SERVICE_HOST="10.0.0.1", PORT_8080_TCP_ADDR="10.0.0.1")

    assert load_settings().host == "127.0.0.1"


def test_what_commands_for_operators_read_is_no_misspelt_setting(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / ".env").write_text("HOOKLINE_KEY=hk_secret\nHOOKLINE_PORT=9001\n")
    set_all(monkeypatch, SERVER="https://hookline.example.com")
    assert load_settings().port == 9001


def test_secrets_show_neither_in_text_nor_in_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(
        monkeypatch,
        DATABASE_URL=DATABASE_URL,
        ENCRYPTION_KEYS="encryption-key-one",
        ADMIN_KEY="hk_abcdefghijklmnopqrstuvwxyz0123456789",
        EGRESS_PROXY="http://me:proxypass@proxy.example.com",
    )
    shown = repr(load_settings())
    set_all(monkeypatch, ADMIN_KEY="hk_bad key", DATABASE_URL="mysql://u:pa55word@h/d")
    with pytest.raises(ConfigurationError) as refusal:
        load_settings()

    for secret in ("pa55word", "encryption-key-one", "abcdefghij", "proxypass", "bad key"):
        assert secret not in shown
        assert secret not in str(refusal.value)
