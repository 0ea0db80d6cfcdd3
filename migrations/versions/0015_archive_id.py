"""An archive has an id, so that its files on object storage are known as its own.

Revision ID: 0015
Revises: 0014
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("archive", sa.Column("archive_id", sa.String(), nullable=False, server_default=""))
    archive = sa.table("archive", sa.column("archive_id", sa.String()))
    op.execute(archive.update().values(archive_id=secrets.token_hex(8)))


def downgrade() -> None:
    op.drop_column("archive", "archive_id")
