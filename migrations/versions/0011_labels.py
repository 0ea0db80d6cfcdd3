"""Labelled tiles in collections, and the classifiers trained on them.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

from bandsight.catalog.sql.types import INTEGER

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "label_collections",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sentences", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_label_collections"),
        sa.UniqueConstraint("name", name="uq_label_collections_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "labels",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("collection", INTEGER, nullable=False),
        sa.Column("tile", INTEGER, nullable=False),
        sa.Column("cls", sa.String(), nullable=False),
        sa.Column("annotator", sa.String(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("model_digest", sa.String(), nullable=False),
        sa.Column("scene", sa.String(), nullable=False),
        sa.Column("cell", sa.String(), nullable=False),
        sa.Column("scale", INTEGER, nullable=False),
        sa.Column("geometry", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_labels"),
        sa.UniqueConstraint("collection", "tile", "annotator", name="uq_labels_collection_tile_annotator"),
        sa.ForeignKeyConstraint(
            ["collection"], ["label_collections.id"], name="fk_labels_collection", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "classifiers",
        sa.Column("collection", INTEGER, nullable=False),
        sa.Column("version", INTEGER, nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("model_digest", sa.String(), nullable=False),
        sa.Column("labels", INTEGER, nullable=False),
        sa.Column("heads", sa.JSON(), nullable=False),
        sa.Column("weights", sa.LargeBinary(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("collection", "version", name="pk_classifiers"),
        sa.ForeignKeyConstraint(
            ["collection"], ["label_collections.id"], name="fk_classifiers_collection", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    op.drop_table("classifiers")
    op.drop_table("labels")
    op.drop_table("label_collections")
