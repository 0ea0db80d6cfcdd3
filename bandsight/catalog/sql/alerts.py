"""SQL statements for subscriptions and alerts."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from bandsight.catalog.alerts import Alert, FamilyLevel, Subscription
from bandsight.catalog.sql.tables import AlertRow, SubscriptionRow

# Maximum number of values in a statement.
_IDS = 500
_TIMES = ("created", "next_attempt", "delivered")


class SqlAlerts:
    """Subscriptions and alerts within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def count(self) -> int:
        """Return the number of subscriptions; see `AlertRows`."""
        return int(self._db.execute(select(func.count()).select_from(SubscriptionRow)).scalar_one())

    def add(self, subscription: Subscription) -> None:
        """Insert a subscription; see `AlertRows`."""
        values = {name: getattr(subscription, name) for name in Subscription.__dataclass_fields__}
        values |= {
            "request": dict(subscription.request),
            "where": dict(subscription.where),
            "direction": subscription.direction.astype("<f4").tobytes(),
            "created": _naive(subscription.created),
            "levels": [asdict(level) for level in subscription.levels],
        }
        self._db.execute(insert(SubscriptionRow).values(**values))

    def subscriptions(self, *, active: bool = False) -> list[Subscription]:
        """Return subscriptions, newest first; see `AlertRows`."""
        chosen = select(SubscriptionRow.__table__).order_by(SubscriptionRow.number.desc())
        if active:
            chosen = chosen.where(SubscriptionRow.paused.is_(False))
        return [_subscription(row) for row in self._db.execute(chosen).mappings()]

    def subscription(self, subscription_id: str) -> Subscription | None:
        """Return a subscription; see `AlertRows`."""
        chosen = select(SubscriptionRow.__table__).where(SubscriptionRow.id == subscription_id)
        return next(map(_subscription, self._db.execute(chosen).mappings()), None)

    def pause(self, subscription_id: str, *, paused: bool) -> bool:
        """Pause or resume a subscription; see `AlertRows`."""
        chosen = update(SubscriptionRow).where(SubscriptionRow.id == subscription_id).values(paused=paused)
        return bool(self._db.execute(chosen).rowcount)

    def delete(self, subscription_id: str) -> bool:
        """Delete a subscription with its alerts; see `AlertRows`."""
        return bool(self._db.execute(delete(SubscriptionRow).where(SubscriptionRow.id == subscription_id)).rowcount)

    def alerted_cells(self, subscription_id: str, cells: Sequence[str]) -> set[str]:
        """Return which of these cells already have alerts of a subscription; see `AlertRows`."""
        return {
            cell
            for start in range(0, len(cells), _IDS)
            for cell in self._db.execute(
                select(AlertRow.cell).where(
                    AlertRow.subscription == subscription_id, AlertRow.cell.in_(cells[start : start + _IDS])
                )
            ).scalars()
        }

    def record(self, alerts: Sequence[Alert]) -> int:
        """Insert alerts; see `AlertRows`."""
        fresh = {alert.id: alert for alert in alerts}
        ids = list(fresh)
        for start in range(0, len(ids), _IDS):
            known = select(AlertRow.id).where(AlertRow.id.in_(ids[start : start + _IDS]))
            for one in self._db.execute(known).scalars().all():
                del fresh[one]
        names = [name for name in Alert.__dataclass_fields__ if name != "number"]
        rows = []
        for alert in fresh.values():
            row = {name: getattr(alert, name) for name in names} | {"data": dict(alert.data)}
            rows.append(row | {name: _naive(row[name]) for name in _TIMES})
        if rows:
            self._db.execute(insert(AlertRow), rows)
        return len(rows)

    def newest(self, limit: int, before: int | None = None, subscription_id: str | None = None) -> list[Alert]:
        """Return alerts, newest first; see `AlertRows`."""
        chosen = select(AlertRow.__table__).order_by(AlertRow.number.desc()).limit(limit)
        if before is not None:
            chosen = chosen.where(AlertRow.number < before)
        if subscription_id is not None:
            chosen = chosen.where(AlertRow.subscription == subscription_id)
        return [_alert(row) for row in self._db.execute(chosen).mappings()]

    def counts(self) -> dict[str, int]:
        """Return the number of alerts by state; see `AlertRows`."""
        chosen = select(AlertRow.state, func.count()).group_by(AlertRow.state)
        return {state: int(count) for state, count in self._db.execute(chosen)}

    def is_due(self, now: datetime, lease_s: float, longest_s: float) -> bool:
        """Return whether `claim` would return alerts; see `AlertRows`."""
        chosen = select(AlertRow.number).where(_due(now, lease_s, longest_s)).limit(1)
        return self._db.execute(chosen).first() is not None

    def claim(
        self, limit: int, now: datetime, lease_s: float, longest_s: float, subscription_id: str | None = None
    ) -> list[Alert]:
        """Claim alerts that are due; see `AlertRows`."""
        chosen = select(AlertRow.__table__).where(_due(now, lease_s, longest_s))
        if subscription_id is not None:
            chosen = chosen.where(AlertRow.subscription == subscription_id)
        rows = list(self._db.execute(chosen.order_by(AlertRow.number).limit(limit)).mappings())
        if rows:
            taken = update(AlertRow).where(AlertRow.number.in_([row["number"] for row in rows]))
            self._db.execute(taken.values(next_attempt=_naive(now + timedelta(seconds=lease_s))))
        return [_alert(row) for row in rows]

    def settle(self, alert: Alert) -> None:
        """Store the outcome of a delivery attempt; see `AlertRows`."""
        values: dict[str, Any] = {name: getattr(alert, name) for name in ("state", "attempts", "error")}
        values |= {name: _naive(getattr(alert, name)) for name in ("next_attempt", "delivered")}
        self._db.execute(update(AlertRow).where(AlertRow.number == alert.number).values(**values))


def _due(now: datetime, lease_s: float, longest_s: float) -> ColumnElement[bool]:
    at = _naive(now)
    assert at is not None
    due = or_(
        AlertRow.next_attempt <= at,
        # Set while the clock was ahead.
        AlertRow.next_attempt > at + timedelta(seconds=longest_s + lease_s),
    )
    return and_(AlertRow.state == "pending", due)


def _subscription(row: Any) -> Subscription:
    values = {name: row[name] for name in Subscription.__dataclass_fields__}
    values["direction"] = np.frombuffer(row["direction"], "<f4").astype(np.float32)
    levels = tuple(
        FamilyLevel(**level | {"gsd_m": None if level["gsd_m"] is None else tuple(level["gsd_m"])})
        for level in row["levels"]
    )
    return Subscription(**values | {"created": _aware(row["created"]), "levels": levels})


def _alert(row: Any) -> Alert:
    values = {name: row[name] for name in Alert.__dataclass_fields__}
    return Alert(**values | {name: _aware(row[name]) for name in _TIMES})


def _naive(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)


def _aware(time: datetime | None) -> Any:
    return None if time is None else time.replace(tzinfo=UTC)
