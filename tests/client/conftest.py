"""The archive of small real scenes that the API's tests use too."""

from tests.search_api.conftest import archive, archive_path, scenes

__all__ = ["archive", "archive_path", "scenes"]
