"""A small TOML file says which engines an archive is on, so that every command takes it as it takes a folder.

    folder = "."                                                      # checkpoints, the writer's lock, copies of files
    catalog = "postgresql+psycopg://bandsight@db/geo?schema=alps"     # without it: SQLite in the folder
    vectors = "milvus://milvus:19530/default/alps"                    # without it: FAISS in the folder
    files = "s3://bucket/alps?endpoint=https://storage"               # without it: vectors and pictures in the folder

`${NAME}` stands for an environment variable, for passwords. A relative folder counts from the file's own.
"""

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from bandsight.durable import flush, make_folder
from bandsight.errors import ArchiveError

CONFIG_FILE = "archive.toml"
"""Name of the file in an archive's folder."""

_KEYS = ("folder", "catalog", "vectors", "files")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_PASSWORD = re.compile(r"//[^/@]*:[^/@$]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveConfig:
    """What such a file says."""

    folder: Path
    """Folder of files: every machine must see it, unless `files` are elsewhere; then each machine has its own."""
    catalog: str | None = None
    """URL of the catalog; None for SQLite in the folder."""
    vectors: str | None = None
    """URL of the vectors; None for files in the folder alone."""
    files: str | None = None
    """URL of the object storage that keeps vectors and pictures; None for the folder."""


def read_config(file: Path) -> ArchiveConfig:
    """Read a file.

    Raises:
        ArchiveError: It is missing, is no TOML, or a value is wrong.
    """
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArchiveError(f"{file}: cannot be read ({error.strerror}); make it with: bandsight init") from error
    except ValueError as error:
        raise ArchiveError(f"{file}: not valid TOML ({error})") from error
    if unknown := sorted(set(found) - set(_KEYS)):
        raise ArchiveError(f"{file}: found {', '.join(unknown)}; an archive has {', '.join(_KEYS)}")
    for key, value in found.items():
        if not isinstance(value, str) or not value:
            raise ArchiveError(f"{file}: {key}: found {value!r}; need text")
    values = {key: _filled(file, key, value) for key, value in found.items()}
    if "://" in values.get("folder", ""):
        raise ArchiveError(
            f"{file}: folder: found {values['folder']}; need a folder of this machine, and the URL in files"
        )
    return ArchiveConfig(
        folder=(file.parent / values.get("folder", ".")).absolute(),
        catalog=values.get("catalog"),
        vectors=values.get("vectors"),
        files=values.get("files"),
    )


def write_config(file: Path, config: ArchiveConfig) -> None:
    """Write a file; only its owner may read it where it has a password.

    Raises:
        ArchiveError: It exists already, or cannot be written.
    """
    places = {"catalog": config.catalog, "vectors": config.vectors, "files": config.files}
    same = config.folder.absolute() == file.parent.absolute()
    lines = [f"folder = {_quoted('.' if same else str(config.folder))}"]
    lines += [f"{key} = {_quoted(value)}" for key, value in places.items() if value]
    text = "\n".join(lines) + "\n"
    try:
        make_folder(file.parent)
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if _PASSWORD.search(text) else 0o644)
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        flush(file.parent)
    except FileExistsError as error:
        raise ArchiveError(f"{file}: there is already an archive here; open it, or choose another place") from error
    except OSError as error:
        raise ArchiveError(f"{file}: cannot be written ({error.strerror}); check the folder's permissions") from error


def _filled(file: Path, key: str, value: str) -> str:
    def variable(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ArchiveError(f"{file}: {key} names the environment variable {match[1]}, which is not set")
        return os.environ[match[1]]

    return _VARIABLE.sub(variable, value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
