from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.db.address import parse
from hookline.errors import ConfigurationError

PASSWORDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
SENTENCES = ("must start with postgresql://", "cannot be read as", "has a", "has the parameter")


@given(PASSWORDS, PASSWORDS)
def test_whatever_is_percent_encoded_comes_through(user: str, password: str) -> None:
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    read = urlsplit(parse(f"postgresql://{login}@db.example.com:5433/name").dsn)
    assert (unquote(read.username or ""), unquote(read.password or "")) == (user, password)
    assert (read.hostname, read.port, read.path) == ("db.example.com", 5433, "/name")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_whatever_is_written_is_read_or_refused_with_a_sentence_of_ours(text: str) -> None:
    for url in (text, f"postgresql://{text}", f"postgresql://u:{text}@h/d"):
        try:
            parse(url)
        except ConfigurationError as refusal:
            sentence = str(refusal)  # no part of the value: all of it is written down here
            assert sentence.removeprefix("HOOKLINE_DATABASE_URL ").startswith(SENTENCES)
            assert "\n" not in sentence


@pytest.mark.parametrize("character", ["/", "#", "?", "@", "%", "/@", "?a=b&", "#?/"])
def test_a_password_that_is_not_encoded_is_refused_and_never_taken_for_a_host(
    character: str,
) -> None:
    for password in (f"se{character}cret", f"{character}secret", f"5432{character}cret"):
        with pytest.raises(ConfigurationError, match="percent-encode") as refusal:
            parse(f"postgresql://user:{password}@db.example.com/name")
        assert "cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("postgresql://u:a:b@h/d", "postgresql://u:a%3Ab@h/d"),
        ("postgresql://u:[a b]@h/d", "postgresql://u:%5Ba%20b%5D@h/d"),
        ("postgres://u@h", "postgresql://u@h"),
        ("POSTGRESQL://h/d", "postgresql://h/d"),
        ("\ufeff postgresql://h/d\r\n", "postgresql://h/d"),
        ("postgresql://u:p@[::1]:5433/d", "postgresql://u:p@[::1]:5433/d"),
        ("postgresql://u:p@a:1,b,[fd00::7]:3/d", "postgresql://u:p@a:1,b,[fd00::7]:3/d"),
        ("postgresql://u@%2Fvar%2Frun/d", "postgresql://u@%2Fvar%2Frun/d"),
        ("postgresql:///d?host=/var/run&port=1", "postgresql://%2Fvar%2Frun:1/d"),
        ("postgresql://h/d?host=other", "postgresql://other/d"),
        ("postgresql:///d?host=a,::1&port=1,2", "postgresql://a:1,[::1]:2/d"),
        ("postgresql://a,b:2/d?port=3", "postgresql://a:3,b:3/d"),
        ("postgresql://:5433/d", "postgresql:///d?port=5433"),
        ("postgresql://h/d?ssl=true&sslcert=&keepalives=1", "postgresql://h/d?sslmode=require"),
        ("postgresql://", "postgresql://"),
    ],
)
def test_it_is_read_as_libpq_reads_it(written: str, read: str) -> None:
    assert parse(written).dsn == read


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@::1/d",
        "postgresql://u:p@[::1/d",
        "postgresql://u:p@[db]/d",
        "postgresql://u:p@h:0/d",
        "postgresql://u:p@h:65536/d",
        "postgresql://u:p@h:port/d",
        "postgresql://u:p@a b/d",
        "postgresql://u:p%00@h/d",
        "postgresql://u:p%ff@h/d",
        "postgresql://u:p\n@h/d",
        "postgresql://h,/d",
        "postgresql://a,b,c/d?port=1,2",
        "postgresql://h/d?sslmode",
    ],
)
def test_what_has_no_meaning_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="percent-encode"):
        parse(url)


@pytest.mark.parametrize("scheme", ["mysql", "postgresql+asyncpg", "jdbc:postgresql", "http"])
def test_only_postgresql_is_a_scheme(scheme: str) -> None:
    with pytest.raises(ConfigurationError, match=r"must start with postgresql://"):
        parse(f"{scheme}://u:p@h/d")


def test_parameters_of_libpq_that_change_nothing_here_are_left_out() -> None:
    address = parse(
        "postgresql://h/d?channel_binding=require&keepalives=1&keepalives_idle=30&tcp_user_timeout=9"
        "&gssencmode=prefer&sslsni=1&fallback_application_name=x&client_encoding=UTF8"
    )
    assert address.dsn == "postgresql://h/d"
    assert address.startup == {}
    assert address.binds_channel


def test_parameters_that_mean_something_are_honoured() -> None:
    address = parse(
        "postgresql://h/d?connect_timeout=3&application_name=mine&options=-c%20work_mem%3D8MB"
        "&sslmode=verify-full&sslrootcert=/ca.pem&target_session_attrs=read-write"
    )
    assert address.connect_timeout == 3
    assert address.application_name == "mine"
    assert address.startup == {"options": "-c work_mem=8MB"}
    assert address.files == {"sslrootcert": "/ca.pem"}
    assert parse_qs(urlsplit(address.dsn).query) == {
        "sslmode": ["verify-full"],
        "sslrootcert": ["/ca.pem"],
        "target_session_attrs": ["read-write"],
    }
    assert parse("postgresql://h/d?sslrootcert=system").system_authorities


@pytest.mark.parametrize(
    "parameter",
    [
        "gssencmode=require",
        "sslmode=always",
        "target_session_attrs=standby",
        "client_encoding=LATIN1",
        "require_auth=scram-sha-256",
        "service=production",
        "hostaddr=10.0.0.1",
        "connect_timeout=soon",
        "pgbouncer=true",
    ],
)
def test_parameters_that_cannot_be_honoured_are_refused_by_name(parameter: str) -> None:
    name, _, value = parameter.partition("=")
    with pytest.raises(ConfigurationError, match=name) as refusal:
        parse(f"postgresql://h/d?{parameter}")
    assert value not in str(refusal.value).replace("percent", "")


def test_a_parameter_that_nobody_knows_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match="not one of libpq's") as refusal:
        parse("postgresql:///d?password=a&secret=b")
    assert "secret" not in str(refusal.value)
