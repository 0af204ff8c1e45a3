import pytest

from hookline.errors import InvalidInput
from hookline.security.egress.urls import Origin, parse_url


@pytest.mark.parametrize(
    ("url", "understood"),
    [
        ("https://crm.example.com", "https://crm.example.com/"),
        ("https://CRM.example.com.:443/a?b", "https://crm.example.com/a?b"),
        ("https://crm.example.com:8443?b", "https://crm.example.com:8443?b"),
        ("http://10.0.0.1:80/", "http://10.0.0.1/"),
        ("https://[2606:4700:0:0::1111]:8443/", "https://[2606:4700::1111]:8443/"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/ü"),
    ],
)
def test_a_url_has_one_form(url: str, understood: str) -> None:
    endpoint = parse_url(url)
    assert endpoint.url == understood
    assert parse_url(endpoint.url) == endpoint or endpoint.rest == ""


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://crm.example.com/" + "x" * 3000, "3024 characters; at most 2,048"),
        ("https://user:pw@crm.example.com/", "user name and password"),
        ("https://crm.example.com/#part", "fragment"),
        ("ftp://crm.example.com/", "not ftp://"),
        ("https:///hook", "names no host"),
        ("crm.example.com/hook", "Give a whole URL"),
        ("https://crm.example.com:70000/", "between 1 and 65535"),
        ("https://crm.example.com/a b", "spaces, control characters"),
        ("https://0x7f.1/", "four decimal numbers"),
        ("https://[::zz]/", "not a valid IPv6 address"),
        ("https://[fe80::1%eth0]/", "zone id"),
        ("https://a_b-.example/", "not a valid DNS name"),
        ("https://xn--ü.example/", "internationalised"),
    ],
)
def test_a_wrong_url_is_refused_with_a_sentence_to_act_on(url: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence) as refusal:
        parse_url(url)
    assert [field.path for field in refusal.value.fields] == ["transmission.url"]


def test_the_host_header_names_the_port_only_where_it_is_not_the_schemes_own() -> None:
    assert Origin("https", "crm.example.com", 443).authority == "crm.example.com"
    assert Origin("https", "crm.example.com", 80).authority == "crm.example.com:80"
    assert Origin("https", "2606:4700::1111", 443).authority == "[2606:4700::1111]"
