"""`/v1/integrations`: who gets which events, and where."""

from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Request, Response
from pydantic import Field

from hookline.api.bounded_body import JsonRoute
from hookline.api.dependencies import Manager, ServicesDep
from hookline.api.openapi.examples import INTEGRATION_CHANGES, NEW_INTEGRATION
from hookline.api.parameters import (
    DEFAULT_LIMIT,
    Boolean,
    Cursor,
    Limit,
    decode_cursor,
    page_of,
)
from hookline.api.responses import (
    CREATED,
    NOT_MODIFIED,
    WITH_ETAG,
    IfMatch,
    IfNoneMatch,
    etag,
    failures,
)
from hookline.dispatch.manual import Tested
from hookline.domain.access import LONGEST_NAME
from hookline.domain.deliveries import Verdict, hint_of
from hookline.domain.targets import TransmissionType
from hookline.errors import FieldProblem, InvalidInput
from hookline.history.schemas import (
    AttemptDefect,
    AttemptError,
    AttemptHint,
    AttemptResponse,
    AttemptStatus,
    AttemptTlsReason,
)
from hookline.integrations.fields import (
    PRINTABLE,
    CompanyId,
    Document,
    PbxSerial,
    RequestDocument,
    TimestampField,
)
from hookline.integrations.repository import Wanted
from hookline.integrations.requests import (
    IntegrationCreate,
    IntegrationPatch,
    SecretRotationRequest,
)
from hookline.integrations.serializers import Integration, IntegrationPage, SigningSecret

_LONGEST_KEY = 255  # characters of an Idempotency-Key


async def _idempotency_key(
    request: Request,
    documented: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="What tells this creation from any other one of the same API key, such as "
            "a UUID: 1 to 255 printable ASCII characters without spaces.",
            examples=["5c1f0f6e-7f0f-4d0c-9a53-6d2f3b8f9a10"],
            min_length=1,
            max_length=_LONGEST_KEY,
            pattern=r"^[\x21-\x7e]+$",
        ),
    ] = None,
) -> str | None:
    if len(request.headers.getlist("Idempotency-Key")) > 1:
        raise InvalidInput(FieldProblem("Idempotency-Key", "Send this header once."))
    return documented


IdempotencyKey = Annotated[str | None, Depends(_idempotency_key)]

router = APIRouter(prefix="/v1/integrations", tags=["Integrations"], route_class=JsonRoute)

IntegrationPath = Annotated[
    str,
    Path(
        description="The integration's id.",
        examples=["s95eum"],
        json_schema_extra={"pattern": "^[a-z0-9]{6}$"},
    ),
]


class TestRequest(RequestDocument):
    """What to send as a test."""

    type: str = Field(
        min_length=1,
        max_length=128,
        description="The event type whose example is sent, one of `GET /v1/event-types`.",
        examples=["call:completed"],
    )


class TestAttempt(Document):
    """The one attempt of a test, and its outcome in full."""

    number: Literal[1] = Field(description="Always 1: a test is never retried.")
    started_at: TimestampField = Field(description="When it began.")
    duration_ms: int = Field(ge=0, description="How long it took, in milliseconds.")
    outcome: Verdict = Field(
        description="What it means: `delivered`; `retry`, where a real delivery would be tried "
        "again; any other: where it would have failed."
    )
    error: AttemptError
    tls_reason: AttemptTlsReason
    status_code: AttemptStatus
    response_body: AttemptResponse
    response_defect: AttemptDefect
    hint: AttemptHint


class TestResult(Document):
    """What came of a test."""

    event_type: str = Field(description="The type that was sent.", examples=["call:completed"])
    delivery_id: UUID = Field(description="The id that went along as `webhook-id`.")
    filtered_by: str | None = Field(
        description="Where the integration's filter refuses the example, so that a real event like "
        "it would not be sent: the path that says no.",
        examples=["data.flows.direction"],
    )
    body: str = Field(
        description="The exact body that was sent and signed.",
        examples=['{"id":"1721836787.1","company":"it_w000001","integrationId":"s95eum"}'],
    )
    headers: dict[str, str] = Field(
        description="The headers of the request, the integration's own among them; of AWS_SQS the "
        "attributes of the message. Empty where no request could be made.",
        examples=[{"content-type": "application/json", "webhook-attempt": "1"}],
    )
    attempt: TestAttempt


@router.post("", status_code=201, responses=CREATED | failures(400, 403, 409, 413, 415, 422))
async def create_integration(
    *,
    caller: Manager,
    services: ServicesDep,
    new: Annotated[IntegrationCreate, Body(openapi_examples=NEW_INTEGRATION)],
    response: Response,
    idempotency_key: IdempotencyKey,
) -> Integration:
    """Create an integration.

    It gets every chosen event that is accepted from now on. For a webhook, the answer holds the
    secret that its copies are signed with; later `GET …/secret` shows it.

    Sent again with the same `Idempotency-Key` and body, it makes nothing more and is answered with
    the first result, for 24 hours. The same key with another body is a 409, as is one whose
    integration was deleted meanwhile. What was refused is not kept: mend it and use the key again.
    """
    made = await services.integrations.create(caller, new, idempotency_key)
    response.headers["Location"] = f"/v1/integrations/{made.integration.id}"
    response.headers["ETag"] = etag(made.integration)
    return made.integration


@router.get("", responses=failures(403, 422))
async def list_integrations(  # noqa: PLR0913 - each is a parameter of the query
    *,
    caller: Manager,
    services: ServicesDep,
    pbx: Annotated[PbxSerial | None, Query(description="Only those of this PBX.")] = None,
    company: Annotated[CompanyId | None, Query(description="Only those of this company.")] = None,
    type: Annotated[  # noqa: A002 - the parameter's name in the API
        TransmissionType | None, Query(description="Only those with this transmission type.")
    ] = None,
    enabled: Annotated[
        Boolean | None, Query(description="Only those that are enabled, or that are not.")
    ] = None,
    search: Annotated[
        Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), PRINTABLE] | None,
        Query(
            description="Only those with this in their name, their URL or their id, whatever the"
            " case.",
            examples=["crm"],
        ),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> IntegrationPage:
    """List integrations, newest first.

    Only integrations inside the key's scope are listed.
    """
    wanted = Wanted(pbx, company, type, enabled, search)
    listing = ("integrations", pbx, company, type and type.value, enabled, search)
    found = await services.integrations.page(
        caller, wanted, before=decode_cursor(listing, cursor), limit=limit + 1
    )
    shown, following = page_of(listing, found, limit, lambda each: each.sequence)
    return IntegrationPage(items=[each.integration for each in shown], next=following)


@router.get(
    "/{integration_id}",
    response_model=Integration,
    responses=WITH_ETAG | NOT_MODIFIED | failures(403, 404, 422),
)
async def get_integration(
    *,
    caller: Manager,
    services: ServicesDep,
    integration_id: IntegrationPath,
    response: Response,
    if_none_match: IfNoneMatch,
) -> Integration | Response:
    """Read an integration.

    The header `ETag` names what was read: its version, and its health.
    """
    found = (await services.integrations.read(caller, integration_id)).integration
    tag = etag(found)
    if tag in if_none_match or "*" in if_none_match:
        return Response(status_code=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return found


@router.patch(
    "/{integration_id}",
    responses=WITH_ETAG | failures(400, 403, 404, 409, 412, 413, 415, 422),
)
async def update_integration(  # noqa: PLR0913 - each is a part of the request
    *,
    caller: Manager,
    services: ServicesDep,
    integration_id: IntegrationPath,
    patch: Annotated[
        IntegrationPatch,
        Body(media_type="application/merge-patch+json", openapi_examples=INTEGRATION_CHANGES),
    ],
    response: Response,
    if_match: IfMatch,
) -> Integration:
    """Change an integration.

    Send the fields to change as a JSON merge patch (RFC 7396). The transmission's type and a
    webhook's secret can't be changed this way. Changes hold for the next accepted event.

    A whole answer may be sent back: read-only fields are taken where they say what they said when
    they were read. What changes nothing leaves `version` and `updatedAt` alone.
    """
    changed = await services.integrations.change(caller, integration_id, patch, if_match)
    response.headers["ETag"] = etag(changed.integration)
    return changed.integration


@router.delete("/{integration_id}", status_code=204, responses=failures(403, 404, 412, 422))
async def delete_integration(
    caller: Manager,
    services: ServicesDep,
    integration_id: IntegrationPath,
    if_match: IfMatch,
) -> None:
    """Delete an integration.

    What is queued for it ends as skipped, with the reason `deleted`; what was delivered stays
    listed.
    """
    await services.integrations.delete(caller, integration_id, if_match)


@router.get("/{integration_id}/secret", responses=failures(403, 404, 409, 422))
async def get_integration_secret(
    caller: Manager, services: ServicesDep, integration_id: IntegrationPath
) -> SigningSecret:
    """Show a webhook's secret.

    An AWS_SQS integration has none to show: its copies are signed with its AWS secret access key.
    """
    return await services.integrations.secret(caller, integration_id)


@router.post(
    "/{integration_id}/rotate-secret",
    responses=failures(400, 403, 404, 409, 412, 413, 415, 422),
)
async def rotate_integration_secret(
    *,
    caller: Manager,
    services: ServicesDep,
    integration_id: IntegrationPath,
    rotation: Annotated[SecretRotationRequest, Body(default_factory=SecretRotationRequest)],
    if_match: IfMatch,
) -> SigningSecret:
    """Give a webhook a new secret.

    For its grace period each old secret signs along in `webhook-signature`, also when there is
    another rotation meanwhile; `x-signature` holds one signature alone, which is the new secret's
    from now on. At most 5 secrets sign at a time: 409 where another one would have to.
    """
    grace = timedelta(hours=rotation.grace_period_hours)
    return await services.integrations.rotate_secret(caller, integration_id, grace, if_match)


@router.post("/{integration_id}/test", responses=failures(400, 403, 404, 413, 415, 422, 503))
async def test_integration(
    caller: Manager, services: ServicesDep, integration_id: IntegrationPath, test: TestRequest
) -> TestResult:
    """Send a test event.

    The catalogue's example of the type is sent now, in one attempt and whether the integration
    chose the type or not, and the outcome is returned in full. Where its filter would have refused
    the example, `filteredBy` says by which path. The copy leaves out what `omit` names.

    At most 2 of an integration are under way at a time, 4 of a PBX or company, and 8 of a company
    and its PBXs together. Beyond that the answer is 429.
    """
    await services.integrations.check_manages(caller, integration_id)
    if (await services.event_types.catalogue()).find(test.type) is None:
        message = "There is no such event type; GET /v1/event-types lists all."
        raise InvalidInput(FieldProblem("type", message))
    return _shown(await services.tester.test(integration_id, test.type))


def _shown(tested: Tested) -> TestResult:
    sent = tested.sent
    attempt = TestAttempt(
        number=1,
        started_at=sent.started_at,
        duration_ms=sent.duration_ms,
        outcome=sent.verdict,
        error=sent.error,
        tls_reason=sent.tls_reason,
        status_code=sent.status_code,
        response_body=sent.response.decode(errors="replace") if sent.response else None,
        response_defect=sent.response_defect,
        hint=hint_of(sent.body_bytes),
    )
    return TestResult(
        event_type=tested.event_type,
        delivery_id=tested.delivery_id,
        filtered_by=tested.filtered_by,
        body=tested.body.decode(),
        headers=dict(sent.headers),
        attempt=attempt,
    )
