"""Routes for subscriptions, alerts and feeds."""

import os
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from bandsight.alerts import feeds
from bandsight.alerts.requests import SubscribeBody
from bandsight.alerts.service import AlertService
from bandsight.alerts.webhooks import Targets
from bandsight.stac.media_types import JSON
from search_api.dependencies import ServiceDep, reject_unknown_params, server_url
from search_api.problem_schema import problems
from search_api.responses import json_response
from search_api.stac import schemas

router = APIRouter(tags=["Alerts"], dependencies=[Depends(reject_unknown_params)])
SubscriptionId = Annotated[str, Path(max_length=100, description="Id of a subscription")]
_ATOM, _JSON_FEED = "application/atom+xml", "application/feed+json"
_SUBSCRIPTION: dict[str, Any] = {"type": "object", "required": ["id", "title", "created", "min_score", "paused"]}
_ANY: dict[str, Any] = {"type": "object"}
_FEED_LENGTH = 100


async def _alerts(service: ServiceDep) -> AlertService:
    return AlertService(service.searcher, Targets.of_environment(os.environ))


AlertsDep = Annotated[AlertService, Depends(_alerts)]


@router.get("/subscriptions", responses=schemas.success(JSON, _ANY) | problems(400), summary="Subscriptions")
def subscriptions(alerts: AlertsDep) -> Response:
    """Return all subscriptions, newest first."""
    return json_response(alerts.subscriptions())


@router.post(
    "/subscriptions",
    status_code=201,
    responses=schemas.success(JSON, _SUBSCRIPTION, 201) | problems(400, 404, 413, 415, 422, 503),
    summary="Subscribe to a search",
)
def subscribe(alerts: AlertsDep, body: SubscribeBody) -> Response:
    """Match every new commit against a search. Only this response contains the secret of the webhook."""
    return json_response(alerts.subscribe(body.model_dump(by_alias=True, exclude_unset=True)), status=201)


@router.get(
    "/subscriptions/{subscription_id}",
    responses=schemas.success(JSON, _SUBSCRIPTION) | problems(400, 404),
    summary="Subscription",
)
def subscription(alerts: AlertsDep, subscription_id: SubscriptionId) -> Response:
    """Return a subscription."""
    return json_response(alerts.subscription(subscription_id))


@router.delete(
    "/subscriptions/{subscription_id}", status_code=204, responses=problems(400, 403, 404, 503), summary="Unsubscribe"
)
def unsubscribe(alerts: AlertsDep, subscription_id: SubscriptionId) -> Response:
    """Delete a subscription and its alerts."""
    alerts.unsubscribe(subscription_id)
    return Response(status_code=204)


@router.post(
    "/subscriptions/{subscription_id}/pause",
    responses=schemas.success(JSON, _SUBSCRIPTION) | problems(400, 403, 404, 503),
    summary="Pause a subscription",
)
def pause(alerts: AlertsDep, subscription_id: SubscriptionId) -> Response:
    """Stop matching new commits against a subscription."""
    return json_response(alerts.pause(subscription_id, paused=True))


@router.post(
    "/subscriptions/{subscription_id}/resume",
    responses=schemas.success(JSON, _SUBSCRIPTION) | problems(400, 403, 404, 503),
    summary="Resume a subscription",
)
def resume(alerts: AlertsDep, subscription_id: SubscriptionId) -> Response:
    """Match new commits against a paused subscription again."""
    return json_response(alerts.pause(subscription_id, paused=False))


@router.post(
    "/subscriptions/{subscription_id}/test",
    responses=schemas.success(JSON, _ANY) | problems(400, 403, 404),
    summary="Send a test alert",
)
def test(alerts: AlertsDep, subscription_id: SubscriptionId) -> Response:
    """Send a test alert to the webhook or e-mail address of a subscription, and return whether it was accepted."""
    return json_response(alerts.test(subscription_id))


@router.get("/alerts", responses=schemas.success(JSON, _ANY) | problems(400), summary="Alerts")
def listed(
    alerts: AlertsDep,
    limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of alerts")] = 100,
    before: Annotated[
        int | None, Query(ge=1, le=2**53, description="Number of the last alert on the previous page")
    ] = None,
    subscription: Annotated[str | None, Query(max_length=100, description="Only alerts of this subscription")] = None,
) -> Response:
    """Return alerts, newest first, with their delivery state."""
    return json_response(alerts.alerts(limit, before, subscription))


@router.get(
    "/alerts/feed.json", responses=schemas.success(_JSON_FEED, _ANY) | problems(400), summary="JSON Feed of alerts"
)
def feed(request: Request, service: ServiceDep) -> Response:
    """Return the newest alerts as JSON Feed 1.1."""
    kept, server = service.archive.alerts, server_url(request)
    made = feeds.json_feed(kept.newest(_FEED_LENGTH), kept.subscriptions(), server, f"{server}/alerts/feed.json")
    return json_response(made, _JSON_FEED)


@router.get(
    "/alerts/atom.xml",
    responses={200: {"description": "Success", "content": {_ATOM: {"schema": {"type": "string"}}}}, **problems(400)},
    response_class=Response,
    summary="Atom feed of alerts",
)
def atom(request: Request, service: ServiceDep) -> Response:
    """Return the newest alerts as Atom."""
    kept, server = service.archive.alerts, server_url(request)
    made = feeds.atom(kept.newest(_FEED_LENGTH), kept.subscriptions(), server, f"{server}/alerts/atom.xml")
    return Response(made, media_type=_ATOM)
