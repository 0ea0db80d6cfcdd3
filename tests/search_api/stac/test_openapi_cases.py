"""Made-up requests from the OpenAPI document: never a 5xx, every answer as the document says, with and without keys.

The long form is `make test-cases`: `BANDSIGHT_CASES=120` makes 120 for each operation, more than 10,000 in all.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from pydantic import SecretStr
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bandsight.archive import Archive
from search_api.keys import KeyFile, new_key
from search_api.policies import Scope
from tests.search_api.stac.conftest import app_of

CASES = int(os.environ.get("BANDSIGHT_CASES", "15"))
KEY = "correct horse battery"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def headers_of(tmp_path: Path) -> list[dict[str, str]]:
    """Return the headers of clients: with all scopes, with one, and with keys that are wrong in some way."""
    narrow, text = new_key("narrow", [Scope.READ])
    KeyFile(tmp_path / "keys.json").add(narrow)
    values = [f"Bearer {KEY}", f"Bearer {KEY}", f"Bearer {text}", f"Bearer {KEY}x", "Basic é", "Bearer"]
    return [{"Authorization": value} for value in values] + [{}]


@pytest.mark.parametrize("keyed", [False, True], ids=["without keys", "with keys"])
def test_every_response_matches_the_openapi_document(many: Archive, tmp_path: Path, keyed: bool) -> None:
    key = SecretStr(KEY) if keyed else None
    headers = headers_of(tmp_path) if keyed else [{}]
    app = app_of(many, key=key, keys_file=tmp_path / "keys.json", allow_writes=keyed, run_jobs=False)
    document = schemathesis.openapi.from_asgi("/openapi.json", app, headers=headers[0])
    operations = [result.ok() for result in document.get_all_operations()]
    assert len(operations) > 40
    chosen = np.random.default_rng(0)
    made = 0
    for operation in operations:

        @settings(
            max_examples=CASES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            nonlocal made
            made += 1
            own = headers[chosen.integers(len(headers))]
            if keyed:
                case.headers.pop("Authorization", None)
            case.call_and_validate(checks=CHECKS, headers=own)

        check()
    assert made > len(operations)
    print(f"{made} requests")  # noqa: T201  (the long form counts them)
