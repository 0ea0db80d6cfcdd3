"""The work of a request is summed over its whole body."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from bandsight.errors import QueryError
from search_api.request_work import RequestWork, check_commas
from search_api.settings import ApiSettings
from tests.search_api.test_decoding import png
from tests.search_api.test_errors import assert_problem

LIMITS = ApiSettings()


def test_sentences_pictures_values_and_vertices_are_counted_wherever_they_are() -> None:
    ring = [[0, 0], [1, 0], [1, 1], [0, 0]]
    body = {
        "q": "a, b",
        "labels": {"water": ["a lake", "a river"], "wood": "trees"},
        "semantic": {
            "text": ["one", "two"],
            "positive": [{"text": "three"}, {"image": {"data": "x" * 9000}}, {"area": {"coordinates": [ring]}}],
            "negative": [{"text": ["four"]}],
        },
        "intersects": {"type": "Polygon", "coordinates": [ring, ring]},
    }
    work = RequestWork.of(body, LIMITS)
    assert (work.sentences, work.pictures, work.vertices) == (9, 1, 12)
    assert work.characters == len("a, b" + "a lake" + "a river" + "trees" + "one" + "two" + "three" + "four")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"text": ["x"] * 257}, "257 sentences"),
        ({"positive": [{"text": ["x" * 1000] * 13}] * 5}, "65,000 characters"),
        ({"images": [{"image": {}}] * 9}, "9 pictures"),
        ({"ids": list(range(60_000))}, "values"),
        ({"area": {"coordinates": [[0, 0]] * 30_000}}, "vertices"),
    ],
)
def test_a_body_over_a_limit_is_rejected_with_its_total(body: dict[str, Any], word: str) -> None:
    with pytest.raises(QueryError, match=word):
        RequestWork.of(body, LIMITS).check(LIMITS)


def test_json_with_too_many_commas_is_refused_before_it_is_parsed(client: TestClient) -> None:
    fits = json.dumps({"a": [[0, 0]] * 20_000}).encode()
    check_commas(fits, LIMITS)
    refused = client.post("/search", content=b"[" + b"1," * 300_000, headers={"Content-Type": "application/json"})
    assert_problem(refused, 400, "300,000 commas", "50,000")


def test_a_filter_of_many_values_is_refused_at_once(client: TestClient) -> None:
    values = {"op": "in", "args": [{"property": "id"}, ["a"] * 3000]}
    assert_problem(client.post("/search", json={"filter": values}), 400, "filter", "2,000 values")
    values["args"][1] = ["a"] * 1000  # type: ignore[index]
    assert client.post("/search", json={"filter": values}).status_code == 200


def test_the_images_of_one_request_share_a_time_limit(serve: Callable[..., TestClient]) -> None:
    files = [("image", png(seed=seed)) for seed in range(1, 4)]
    with serve(max_decode_s=1e-9) as client:
        assert_problem(client.post("/search", files=files), 422, "query image")
    with serve(max_pictures=2) as client:
        assert_problem(client.post("/search", files=files), 400, "3 pictures")
