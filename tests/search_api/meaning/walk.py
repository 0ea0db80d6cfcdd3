"""Parses responses of searches, and reads all pages of one."""

from fastapi.testclient import TestClient


def ids(answer: dict) -> list[int]:
    return [int(feature["id"]) for feature in answer["features"]]


def properties(answer: dict) -> list[dict]:
    return [feature["properties"] for feature in answer["features"]]


def all_pages(client: TestClient, body: dict) -> list[dict]:
    """Post a search and follow its links to the end."""
    pages = []
    url = "/search"
    while True:
        response = client.post(url, json=body)
        assert response.status_code == 200, response.text
        pages.append(response.json())
        following = [link for link in pages[-1]["links"] if link["rel"] == "next"]
        if not following:
            return pages
        assert following[0]["method"] == "POST"
        url, body = following[0]["href"], following[0]["body"]
