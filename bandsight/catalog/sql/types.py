"""Column types of the migrations: what they were when each was written, and the same on every database."""

from sqlalchemy import BigInteger, Integer

INTEGER = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits everywhere; SQLite generates ids only for a type named INTEGER."""
