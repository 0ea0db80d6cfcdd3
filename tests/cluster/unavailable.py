"""What the API answers while an engine is away."""

from collections.abc import Sequence

from fastapi.testclient import TestClient

from bandsight.errors import EngineUnavailableError


def assert_unavailable(client: TestClient, paths: Sequence[str], words: str) -> None:
    """Check that these paths answer 503 with a time to come again and these words, and that the process is alive."""
    for path in paths:
        response = client.get(path)
        assert response.status_code == 503, response.text
        assert response.headers["Retry-After"] == "10"
        assert response.json()["error"] == EngineUnavailableError.__name__
        assert words in response.json()["detail"]
        assert "secret" not in response.text
    assert client.get("/healthz").status_code == 200
