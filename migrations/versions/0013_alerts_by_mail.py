"""Subscriptions can send e-mail, keep quiet hours, and collect alerts in a digest.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_COLUMNS = ("email", "quiet", "digest")


def upgrade() -> None:
    for name in _COLUMNS:
        op.add_column("subscriptions", sa.Column(name, sa.String(), nullable=True))


def downgrade() -> None:
    for name in reversed(_COLUMNS):
        op.drop_column("subscriptions", name)
