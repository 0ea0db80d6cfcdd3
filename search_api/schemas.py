"""Limits that bodies and parameters share."""

MAX_LIST = 1000
# Ids are int64.
MAX_ID = 2**63 - 1
