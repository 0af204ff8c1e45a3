import json
from importlib.resources import files

import pytest

from hookline.errors import InvalidInput
from hookline.sinks.sqs.urls import parse_queue_url

PATH = "/123456789012/my-queue"

GENUINE = {
    "sqs.eu-central-1.amazonaws.com": "eu-central-1",
    "sqs.us-east-1.amazonaws.com": "us-east-1",
    "sqs.ap-southeast-7.amazonaws.com": "ap-southeast-7",
    "sqs.mx-central-1.amazonaws.com": "mx-central-1",
    "sqs.us-gov-west-1.amazonaws.com": "us-gov-west-1",
    "sqs.cn-north-1.amazonaws.com.cn": "cn-north-1",
    "sqs.eusc-de-east-1.amazonaws.eu": "eusc-de-east-1",
    "sqs.us-iso-east-1.c2s.ic.gov": "us-iso-east-1",
    "sqs.us-isob-east-1.sc2s.sgov.gov": "us-isob-east-1",
    "sqs.eu-isoe-west-1.cloud.adc-e.uk": "eu-isoe-west-1",
    "sqs.us-isof-south-1.csp.hci.ic.gov": "us-isof-south-1",
    "queue.amazonaws.com": "us-east-1",
    "eu-west-1.queue.amazonaws.com": "eu-west-1",
    "us-gov-west-1.queue.amazonaws.com": "us-gov-west-1",
    "cn-north-1.queue.amazonaws.com.cn": "cn-north-1",
    "sqs-fips.us-east-2.amazonaws.com": "us-east-2",
    "sqs-fips.ca-central-1.amazonaws.com": "ca-central-1",
    "sqs.eu-west-3.api.aws": "eu-west-3",
    "sqs-fips.us-west-2.api.aws": "us-west-2",
    "sqs.us-gov-east-1.api.aws": "us-gov-east-1",
    "sqs.cn-northwest-1.api.amazonwebservices.com.cn": "cn-northwest-1",
    "sqs.eusc-de-east-1.api.amazonwebservices.eu": "eusc-de-east-1",
}

FOREIGN = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    "169.254.169.254",
    "queue.example.com",
    "amazonaws.com",
    "sqs.amazonaws.com",
    "s3.eu-central-1.amazonaws.com",
    "sqs.eu-central-1.amazonaws.com.",
    "sqs.eu-central-1.amazonaws.com.example.com",
    "sqs.eu-central-1.amazonaws.comx",
    "xsqs.eu-central-1.amazonaws.com",
    "evil.sqs.eu-central-1.amazonaws.com",
    "sqs.evil.eu-central-1.amazonaws.com",
    "sqs.evil.amazonaws.com",
    "sqs.cn-north-1.amazonaws.com",
    "sqs.eu-moon-1.amazonaws.com",
    "sqs.us-east-99.api.aws",
    "sqs.aws-global.amazonaws.com",
    "sqs.eu-central-1.amazonaws.com.cn",
    "sqs.eu-central-1.queue.amazonaws.com",
    "bucket.queue.amazonaws.com",
    "sqs.us-iso-east-1.amazonaws.com",
    "sqs.eu-central-1.vpce.amazonaws.com",
    "vpce-0a1b.sqs.us-east-1.vpce.amazonaws.com",
    "sqs.eu-central-1.api.aws.example.com",
    "queue.amazonaws.com.cn",
    "sqs.eu-central-१.amazonaws.com",
    "",
]


def problem_of(url: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse_queue_url(url)
    (field,) = caught.value.fields
    assert field.path == "transmission.url"
    return field.message


@pytest.mark.parametrize(("host", "region"), GENUINE.items())
def test_every_form_of_an_sqs_host_names_its_region(host: str, region: str) -> None:
    queue = parse_queue_url(f"https://{host}{PATH}")
    assert (queue.region, queue.host, queue.account) == (region, host, "123456789012")
    assert queue.endpoint == f"https://{host}"
    assert queue.url == f"https://{host}{PATH}"


@pytest.mark.parametrize("host", FOREIGN)
def test_any_other_host_is_refused(host: str) -> None:
    assert problem_of(f"https://{host}{PATH}")


def test_every_region_of_awss_own_list_passes_in_its_partition_alone() -> None:
    partitions = json.loads(files("botocore").joinpath("data/partitions.json").read_text())
    suffixes = {each["outputs"]["dnsSuffix"] for each in partitions["partitions"]}
    for partition in partitions["partitions"]:
        own = partition["outputs"]["dnsSuffix"]
        for region in partition["regions"]:
            if region.endswith("-global"):
                continue
            assert parse_queue_url(f"https://sqs.{region}.{own}{PATH}").region == region
            for other in suffixes - {own}:
                assert region in problem_of(f"https://sqs.{region}.{other}{PATH}")


def test_the_refusal_of_a_host_names_it_and_says_where_to_find_the_right_one() -> None:
    sentence = problem_of(f"https://queue.example.com{PATH}")
    assert "queue.example.com" in sentence
    assert "AWS console" in sentence


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://sqs.eu-central-1.amazonaws.com/123456789012/q", "https://"),
        ("ftp://sqs.eu-central-1.amazonaws.com/123456789012/q", "https://"),
        ("sqs.eu-central-1.amazonaws.com/123456789012/q", "https://"),
        ("https://me:x@sqs.eu-central-1.amazonaws.com/123456789012/q", "user name"),
        ("https://10.0.0.1@sqs.eu-central-1.amazonaws.com/123456789012/q", "user name"),
        ("https://sqs.eu-central-1.amazonaws.com:8443/123456789012/q", "port"),
        ("https://sqs.eu-central-1.amazonaws.com:/123456789012/q", "port"),
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/q?Action=x", "end after"),
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/q#x", "end after"),
        ("https://sqs.eu-central-1.amazonaws.com/", "12 digits"),
        ("https://sqs.eu-central-1.amazonaws.com/q", "12 digits"),
        ("https://sqs.eu-central-1.amazonaws.com/12345678901/q", "12 digits"),
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/q/", "12 digits"),
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/a.b", "12 digits"),
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/../q", "12 digits"),
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/" + "q" * 81, "12 digits"),
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/q\n", "URL of a queue"),
        ("https://sqs.eu-central-1.amazonaws.com\\@10.0.0.1/123456789012/q", "URL of a queue"),
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/" + "q" * 600, "URL of a queue"),
        ("https://[sqs/123456789012/q", "not a URL"),
    ],
)
def test_what_could_lead_elsewhere_is_refused_with_its_reason(url: str, word: str) -> None:
    assert word in problem_of(url)


def test_a_host_in_capitals_and_the_usual_port_come_out_in_the_normal_form() -> None:
    queue = parse_queue_url("https://SQS.EU-Central-1.AmazonAWS.com:443/123456789012/Q")
    assert queue.url == "https://sqs.eu-central-1.amazonaws.com/123456789012/Q"


def test_a_queue_is_fifo_by_its_name() -> None:
    base = "https://sqs.eu-central-1.amazonaws.com/123456789012/"
    assert parse_queue_url(base + "calls.fifo").fifo
    assert not parse_queue_url(base + "calls").fifo
    assert not parse_queue_url(base + "calls-fifo").fifo


def test_a_fifo_queues_name_has_at_most_80_characters_with_its_suffix() -> None:
    base = "https://sqs.eu-central-1.amazonaws.com/123456789012/"
    assert parse_queue_url(base + "q" * 75 + ".fifo").fifo
    assert problem_of(base + "q" * 76 + ".fifo")
