"""SQS through aioboto3, with one attempt a call and nothing from the environment.

Importing this takes hundreds of milliseconds (boto3, botocore, aiohttp): clients.py does it in its
thread, at the first send.
"""

import asyncio
import os
import ssl
from collections.abc import Sequence
from functools import partial
from typing import Any

import aioboto3
import orjson
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.configprovider import (
    BOTOCORE_DEFAUT_SESSION_VARIABLES,
    ConfigValueStore,
    ConstantProvider,
)
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from hookline import __version__
from hookline.domain.deliveries import ErrorKind
from hookline.logs import get_logger
from hookline.security.egress.policy import EgressPolicy
from hookline.security.egress.tls import client_tls
from hookline.sinks.sqs.clients import ClientKey
from hookline.sinks.sqs.http import HttpSession, Unanswered, VettedResolver
from hookline.sinks.sqs.messages import Entry
from hookline.sinks.sqs.outcomes import Answer, refused, taken, unanswered

log = get_logger(__name__)
_LONGEST_DETAIL = 300  # characters in a log line
_ODD_JSON = (AttributeError, KeyError, TypeError, ValueError)  # of those who read other shapes


class Factory:
    """Makes clients. Not for two threads at once: botocore's session isn't."""

    def __init__(self, policy: EgressPolicy | None, tls: ssl.SSLContext | None) -> None:
        self._session = aioboto3.Session(botocore_session=_bare_session())
        resolver = None if policy is None else VettedResolver(policy)
        self._http_session = partial(_http_session, tls or client_tls(), resolver)

    def make(self, key: ClientKey) -> "AwsClient":
        """Return a client; no I/O, but 11–150 ms of work: not for the event loop."""
        context = self._session.client(
            "sqs",
            region_name=key.region,
            endpoint_url=key.endpoint,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            config=AioConfig(
                http_session_cls=self._http_session,
                retries={"total_max_attempts": 1, "mode": "legacy"},  # legacy: 25 µs less a message
                parameter_validation=False,  # what is sent is built in one place, messages.py
                signature_version="v4",
                proxies={},
                ignore_configured_endpoint_urls=True,
                user_agent=f"Hookline/{__version__}",
            ),
        )
        boto = asyncio.run(context.__aenter__())
        boto.meta.events.register("before-parameter-build.sqs.SendMessageBatch", _serialise)
        boto.meta.events.register("before-call.sqs.SendMessageBatch", _use_serialised)
        return AwsClient(boto)


class AwsClient:
    """One AWS key in one region."""

    def __init__(self, boto: Any) -> None:  # noqa: ANN401  botocore builds its classes at run time
        self._boto = boto

    async def send(self, queue_url: str, entries: Sequence[Entry]) -> list[Answer]:
        """Send a batch in one request; return each entry's answer, in order."""
        for index, entry in enumerate(entries):
            entry["Id"] = str(index)
        try:
            result = await self._boto.send_message_batch(QueueUrl=queue_url, Entries=entries)
            return _answers(result, len(entries))
        except ClientError as error:
            return [_refusal(error)] * len(entries)
        except Unanswered as error:
            _tell_operator(queue_url, error)
            return [unanswered(error.kind, tls=error.tls)] * len(entries)
        except (BotoCoreError, ResponseParserError) as error:
            _tell_operator(queue_url, error)
            return [unanswered(ErrorKind.PROTOCOL)] * len(entries)
        except _ODD_JSON as error:
            log.info("sqs.odd_answer", queue=queue_url, exc_info=error)
            return [unanswered(ErrorKind.PROTOCOL)] * len(entries)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._boto.close()


def _tell_operator(queue_url: str, error: Exception) -> None:
    """Log what a library says, which the customer is not told: it may speak of our own network."""
    log.info("sqs.unanswered", queue=queue_url, detail=str(error)[:_LONGEST_DETAIL])


def _serialise(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    """Print the request at once, and leave botocore's own, field by field, nothing to walk over.

    That walk is the greatest single cost of a batch: 40 µs a message of botocore's 90.
    """
    context["hookline_body"] = orjson.dumps(params)
    params.clear()


def _use_serialised(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    """Sign and send what `_serialise` printed: the body of AWS's JSON protocol is just that."""
    params["body"] = context["hookline_body"]


def _refusal(error: ClientError) -> Answer:
    what = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return refused(
        str(what.get("Code", "")), str(what.get("Message", "")), status=status, sender_fault=True
    )


def _answers(result: dict[str, Any], count: int) -> list[Answer]:  # Any: AWS's answer, parsed
    status = result["ResponseMetadata"]["HTTPStatusCode"]
    answers = {entry.get("Id"): taken(entry, status) for entry in _entries(result, "Successful")}
    for entry in _entries(result, "Failed"):
        answers[entry.get("Id")] = refused(
            str(entry.get("Code", "")),
            str(entry.get("Message", "")),
            status=None,
            sender_fault=bool(entry.get("SenderFault")),
        )
    missing = unanswered(ErrorKind.PROTOCOL, "Its answer does not name this message.")
    return [answers.get(str(index), missing) for index in range(count)]


def _entries(result: dict[str, Any], kind: str) -> list[dict[str, Any]]:  # Any: as above
    """Return the entries of one kind; a null among them is None."""
    return [entry for entry in result.get(kind) or () if entry]


def _http_session(tls: ssl.SSLContext, resolver: VettedResolver | None, **_: object) -> HttpSession:
    """Stand in for the class that botocore makes with its own timeouts, proxies and pools."""
    return HttpSession(tls, resolver)


def _bare_session() -> AioSession:
    """Return a session in which every setting has its default, whatever AWS_… variables say."""
    session = AioSession()
    values = {
        name: ConstantProvider(default)
        for name, (_, _, default, _) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    for file in ("config_file", "credentials_file"):
        values[file] = ConstantProvider(os.devnull)
    session.register_component("config_store", ConfigValueStore(mapping=values))
    return session
