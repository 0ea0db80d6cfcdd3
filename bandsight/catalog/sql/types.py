"""Column types for migrations, the same on every database."""

from sqlalchemy import BigInteger, Integer

INTEGER = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits everywhere; SQLite generates ids only for a type named INTEGER."""
