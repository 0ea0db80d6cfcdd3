"""Creates subscriptions from requests: a vector, a threshold, and the filter as JSON."""

import math
import secrets
from datetime import UTC, datetime

import numpy as np

from bandsight.alerts.requests import SubscribeBody
from bandsight.alerts.schedule import quiet_hours
from bandsight.alerts.webhooks import Targets
from bandsight.attributes.filter_json import to_json
from bandsight.catalog.alerts import FamilyLevel, Subscription
from bandsight.errors import QueryError
from bandsight.search.items import filter_of
from bandsight.search.question import Question, question_of
from bandsight.search.request import echo, query_of_body
from bandsight.search.scorers import LinearScorer
from bandsight.search.searcher import Searcher

_RANK = 10
_MAX_TITLE = 200
# Members of the request about delivery, not about what to watch for.
_NOT_ASKED = {"title", "webhook", "secret", "per_place", "email", "quiet", "digest"}


def subscribe(searcher: Searcher, body: SubscribeBody, targets: Targets) -> Subscription:
    """Create and return a subscription; new tiles are matched against it from the next commit on.

    Raises:
        QueryError: The request has no query or several alternatives, a filter that new scenes cannot pass, or a webhook
            or address that is not allowed.
        NotFoundError: A tile or classifier does not exist.
    """
    archive = searcher.archive
    question = question_of(searcher, body.q, body.semantic)
    if question is None:
        raise QueryError("q, semantic: found neither; describe what to watch for")
    if len(question.scorer.directions) != 1:
        raise QueryError(
            "q, semantic: alternatives (strategy best) cannot be watched together; create a subscription for each"
        )
    for name in ("ids", "classifiers"):
        if getattr(body, name):
            raise QueryError(f"{name}: new tiles cannot pass this filter; leave it out, and pass a classifier as q")
    _check_delivery(body, targets)
    where = filter_of(searcher, query_of_body(body, searcher.max_hits))
    slope, bias = 0.0, 0.0
    if isinstance(question.scorer, LinearScorer):
        slope, bias = question.scorer.length, float(question.scorer.bias)
    levels = _levels(searcher, body, question)
    if levels:
        least = min(level.least for level in levels)
    else:
        least = _least_cosine(_threshold(searcher, body, question), slope, bias)
        levels = _score_levels(question, least)
    made = Subscription(
        id=secrets.token_hex(8),
        title=(body.title.strip() or ", ".join(question.labels))[:_MAX_TITLE],
        request=echo(body, question.saved_form, exclude=_NOT_ASKED),
        where={} if where.is_empty else to_json(where),
        direction=np.asarray(question.scorer.directions[0], np.float32),
        least=least,
        slope=slope,
        bias=bias,
        model_digest=archive.model.digest,
        created=datetime.now(UTC).replace(microsecond=0),
        webhook=body.webhook,
        secret=body.secret or secrets.token_urlsafe(32),
        per_place=body.per_place,
        email=body.email,
        quiet=body.quiet,
        digest=body.digest,
        levels=levels,
    )
    archive.alerts.subscribe(made)
    return made


def _check_delivery(body: SubscribeBody, targets: Targets) -> None:
    """Check that alerts can be delivered as requested."""
    if body.webhook is not None and body.email is not None:
        raise QueryError("webhook, email: found both; create a subscription for each")
    if body.webhook is not None:
        targets.check(body.webhook)
    if body.email is not None:
        targets.mail.check(body.email)
    if body.quiet is not None:
        quiet_hours(body.quiet)
    if (body.quiet or body.digest) and body.webhook is None and body.email is None:
        raise QueryError("quiet, digest: this subscription has no recipient; add a webhook or an email")


def _threshold(searcher: Searcher, body: SubscribeBody, question: Question) -> float:
    """Return the minimum score of a match."""
    least = question.selection.min_score if body.min_score is None else body.min_score
    if least is not None:
        if body.rank is not None:
            raise QueryError("min_score, rank: found both; pass one of them")
        return least
    rank = body.rank or _RANK
    where = filter_of(searcher, query_of_body(body, searcher.max_hits))
    hits = question.page(where, rank, None).hits
    if not hits:
        raise QueryError(
            f"rank: found {rank}, but no tile passes the filters now, so a rank has no meaning; pass min_score"
        )
    return hits[-1].score


def _levels(searcher: Searcher, body: SubscribeBody, question: Question) -> tuple[FamilyLevel, ...]:
    """Return what a minimum probability means for each family of imagery; empty without one."""
    least = question.min_probability if body.min_probability is None else body.min_probability
    if least is None:
        return ()
    if body.rank is not None or body.min_score is not None or question.selection.min_score is not None:
        raise QueryError("min_probability: found together with rank or min_score; pass one of them")
    if question.head is not None:
        raise QueryError("min_probability: scores of classifiers are probabilities, so use min_score")
    if not question.is_one or not len(question.texts):
        raise QueryError("min_probability: only a single sentence without other examples has a probability; use rank")
    if question.unfamiliar is not None:
        raise QueryError(f"min_probability: {question.unfamiliar}; use rank")
    families = searcher.encoder.probabilities.families(question.texts[0])
    if not families:
        reason = "the model has no calibration for this sentence on any imagery"
        raise QueryError(f"min_probability: {reason}; use rank, or train a classifier")
    bounded = min(max(least, 1e-6), 1 - 1e-6)
    return tuple(
        FamilyLevel(
            family=name,
            least=_least_cosine(bounded, platt.scale, platt.bias),
            slope=platt.scale,
            bias=platt.bias,
            gsd_m=platt.range_m,
        )
        for name, platt in families.items()
    )


def _score_levels(question: Question, least: float) -> tuple[FamilyLevel, ...]:
    """Return what a minimum score means for the families whose scores are not cosines."""
    return tuple(
        FamilyLevel(
            family=name,
            least=float(scale.cosines(np.array(least, np.float32))),
            slope=scale.gain,
            bias=scale.offset,
            is_probability=False,
            knee=None if math.isinf(scale.knee) else scale.knee,
        )
        for name, scale in question.families.scales.items()
    )


def _least_cosine(score: float, slope: float, bias: float) -> float:
    if not slope:
        return score
    bounded = min(max(score, 1e-9), 1 - 1e-9)
    return (math.log(bounded / (1 - bounded)) - bias) / slope
