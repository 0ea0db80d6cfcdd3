"""Requests and answers: the key goes along, problem documents come back as errors."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

from bandsight.errors import BandsightError, ImageError, NotFoundError, QueryError, SceneError, SettingsError

# An export of many hits may take long before its first byte.
_TIMEOUT_S = 300.0
_ERRORS: dict[int, type[BandsightError]] = {
    400: QueryError,
    401: SettingsError,
    404: NotFoundError,
    410: SceneError,
    413: QueryError,
    415: QueryError,
    422: ImageError,
}


class Transfer:
    """Speaks with one server, or with an app in this process."""

    def __init__(self, url: str, key: str | None = None, transport: httpx2.BaseTransport | None = None) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.url = url.rstrip("/")
        self._http = httpx2.Client(headers=headers, timeout=_TIMEOUT_S, transport=transport, follow_redirects=False)

    def close(self) -> None:
        """Let go of connections, and of an app in this process."""
        self._http.close()

    def json(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        """Return a document.

        Raises:
            BandsightError: What the server says is wrong, or that it cannot be reached.
        """
        found: dict[str, Any] = self._asked(method, path, **what).json()
        return found

    def data(self, method: str, path: str, **what: Any) -> bytes:
        """Return a file's bytes; see `json`."""
        return self._asked(method, path, **what).content

    def save(self, target: Path, method: str, path: str, **what: Any) -> dict[str, str]:
        """Write an answer to a file while it arrives, and return its headers; see `json`."""
        partial = target.with_name(f".{target.name}.part")
        try:
            with self._reached(), self._http.stream(method, self._absolute(path), **what) as answer:
                if answer.is_error:
                    answer.read()
                    raise _error(answer)
                with partial.open("wb") as file:
                    for part in answer.iter_bytes():
                        file.write(part)
                headers = dict(answer.headers)
            partial.replace(target)
        except OSError as error:
            raise BandsightError(f"{target}: cannot be written ({error.strerror}); is its folder there?") from error
        finally:
            with suppress(OSError):
                partial.unlink()
        return headers

    def _asked(self, method: str, path: str, **what: Any) -> httpx2.Response:
        with self._reached():
            answer = self._http.request(method, self._absolute(path), **what)
        if answer.is_error:
            raise _error(answer)
        return answer

    def _absolute(self, path: str) -> str:
        """Return the URL of a path; links of the server are URLs already, and lead nowhere else."""
        if path.startswith(("http://", "https://")):
            if not path.startswith(f"{self.url}/"):
                raise BandsightError(
                    f"{self.url}: its links lead to {path}; connect there, or set BANDSIGHT_PUBLIC_URL on the server"
                )
            return path
        return f"{self.url}{path}"

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            raise BandsightError(f"{self.url}: cannot be reached ({error}); is the server running?") from error


def _error(answer: httpx2.Response) -> BandsightError:
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"{answer.url}: answers {answer.status_code} without a reason; is it a Bandsight server?"
    return _ERRORS.get(answer.status_code, BandsightError)(detail)
