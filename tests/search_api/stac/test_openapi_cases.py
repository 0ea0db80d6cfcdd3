"""Made-up requests from the OpenAPI document: never a 5xx, every answer as the document says.

`BANDSIGHT_CASES=500 pytest tests/search_api/stac/test_openapi_cases.py` makes 500 for each operation.
"""

import os

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bandsight.archive import Archive
from tests.search_api.stac.conftest import app_of

CASES = int(os.environ.get("BANDSIGHT_CASES", "15"))


def test_every_response_matches_the_openapi_document(many: Archive) -> None:
    document = schemathesis.openapi.from_asgi("/openapi.json", app_of(many))
    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    operations = [result.ok() for result in document.get_all_operations()]
    assert len(operations) > 40
    for operation in operations:

        @settings(
            max_examples=CASES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=checks)

        check()
