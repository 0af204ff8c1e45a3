import pytest

from hookline.domain.deliveries import ErrorKind, Verdict
from hookline.sinks.sqs.messages import Answer, held_back, refused, taken, unanswered

OLD = "AWS.SimpleQueueService."  # what the codes were called in the Query protocol


def called(code: str, message: str = "why", status: int = 400) -> Answer:
    return refused(code, message, status=status, sender_fault=True)


@pytest.mark.parametrize(
    ("code", "status", "verdict", "kind"),
    [
        ("RequestThrottled", 400, Verdict.RETRY, ErrorKind.THROTTLED),
        ("ThrottlingException", 400, Verdict.RETRY, ErrorKind.THROTTLED),
        ("KmsThrottled", 400, Verdict.RETRY, ErrorKind.THROTTLED),
        (OLD + "OverLimit", 403, Verdict.RETRY, ErrorKind.THROTTLED),
        ("429", 429, Verdict.RETRY, ErrorKind.THROTTLED),
        ("InternalError", 500, Verdict.RETRY, ErrorKind.SERVICE),
        ("ServiceUnavailable", 503, Verdict.RETRY, ErrorKind.SERVICE),
        ("502", 502, Verdict.RETRY, ErrorKind.SERVICE),
        ("408", 408, Verdict.RETRY, ErrorKind.TIMEOUT),
        ("RequestExpired", 400, Verdict.INTERNAL, ErrorKind.INTERNAL),
        ("AccessDenied", 403, Verdict.REJECTED, ErrorKind.CREDENTIALS),
        ("AccessDeniedException", 400, Verdict.REJECTED, ErrorKind.CREDENTIALS),
        ("InvalidClientTokenId", 403, Verdict.REJECTED, ErrorKind.CREDENTIALS),
        ("UnrecognizedClientException", 403, Verdict.REJECTED, ErrorKind.CREDENTIALS),
        ("SignatureDoesNotMatch", 403, Verdict.REJECTED, ErrorKind.CREDENTIALS),
        ("InvalidSecurity", 403, Verdict.REJECTED, ErrorKind.CREDENTIALS),
        (OLD + "NonExistentQueue", 400, Verdict.REJECTED, ErrorKind.QUEUE),
        ("QueueDoesNotExist", 400, Verdict.REJECTED, ErrorKind.QUEUE),
        (OLD + "QueueDeletedRecently", 400, Verdict.REJECTED, ErrorKind.QUEUE),
        ("InvalidAddress", 404, Verdict.REJECTED, ErrorKind.QUEUE),
        ("KMS.AccessDeniedException", 400, Verdict.REJECTED, ErrorKind.ENCRYPTION),
        ("KmsAccessDenied", 400, Verdict.REJECTED, ErrorKind.ENCRYPTION),
        ("KmsDisabled", 400, Verdict.REJECTED, ErrorKind.ENCRYPTION),
        ("KmsNotFound", 400, Verdict.REJECTED, ErrorKind.ENCRYPTION),
        ("InvalidMessageContents", 400, Verdict.REJECTED, ErrorKind.INVALID),
        ("InvalidParameterValue", 400, Verdict.REJECTED, ErrorKind.INVALID),
        ("UnknownCode", 400, Verdict.REJECTED, ErrorKind.STATUS),
        ("307", 307, Verdict.REJECTED, ErrorKind.STATUS),
        (OLD + "BatchRequestTooLong", 400, Verdict.TOO_LARGE, ErrorKind.TOO_LARGE),
        ("413", 413, Verdict.TOO_LARGE, ErrorKind.TOO_LARGE),
    ],
)
def test_a_refused_call_means_what_aws_documents(
    code: str, status: int, verdict: Verdict, kind: ErrorKind
) -> None:
    answer = called(code, status=status)
    assert (answer.verdict, answer.error, answer.status_code) == (verdict, kind, status)


@pytest.mark.parametrize(
    ("code", "fault", "verdict", "kind"),
    [
        ("InternalError", False, Verdict.RETRY, ErrorKind.SERVICE),
        ("SomethingNew", False, Verdict.RETRY, ErrorKind.SERVICE),
        ("SomethingNew", True, Verdict.REJECTED, ErrorKind.INVALID),
        ("InvalidMessageContents", True, Verdict.REJECTED, ErrorKind.INVALID),
        ("RequestThrottled", True, Verdict.RETRY, ErrorKind.THROTTLED),
        ("AccessDenied", True, Verdict.REJECTED, ErrorKind.CREDENTIALS),
    ],
)
def test_a_refused_entry_has_no_status_of_its_own(
    code: str, *, fault: bool, verdict: Verdict, kind: ErrorKind
) -> None:
    answer = refused(code, "why", status=None, sender_fault=fault)
    assert (answer.verdict, answer.error, answer.status_code) == (verdict, kind, None)


def test_a_queue_with_a_smaller_limit_of_its_own_refuses_for_size() -> None:
    why = "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes."
    assert called("InvalidParameterValue", why).verdict is Verdict.TOO_LARGE
    assert called("InvalidAttributeValue", "MessageTooLong").verdict is Verdict.TOO_LARGE


def test_a_signature_that_is_too_old_is_our_clocks_fault_and_may_pass() -> None:
    answer = called("InvalidSignatureException", "Signature expired: 2026… is now earlier than …")
    assert (answer.verdict, answer.error) == (Verdict.INTERNAL, ErrorKind.INTERNAL)
    assert b"clock" in answer.response


def test_an_administrator_reads_what_to_do_and_what_aws_said() -> None:
    answer = called("AccessDenied", "User: x is not authorized to perform: sqs:sendmessage")
    assert b"sqs:SendMessage" in answer.response
    assert b"AccessDenied: User: x is not authorized" in answer.response


def test_a_sentence_is_never_longer_than_4_kib() -> None:
    assert len(called("AccessDenied", "é" * 9000).response) == 4096


def test_a_taken_message_can_be_found_by_its_id_at_aws() -> None:
    answer = taken({"MessageId": "m-1", "SequenceNumber": "18870"}, 200)
    assert (answer.verdict, answer.status_code) == (Verdict.DELIVERED, 200)
    assert answer.response == b"MessageId m-1, SequenceNumber 18870"


def test_silence_may_pass_and_a_blocked_address_may_not() -> None:
    assert unanswered(ErrorKind.DNS).verdict is Verdict.RETRY
    assert unanswered(ErrorKind.BLOCKED).verdict is Verdict.BLOCKED


def test_what_was_held_back_may_go_later() -> None:
    assert held_back().verdict is Verdict.RETRY
