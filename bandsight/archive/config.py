"""TOML files that configure an archive's engines; every command accepts one in place of a folder.

    folder = "."                                                      # checkpoints, the writer's lock, copies of files
    catalog = "postgresql+psycopg://bandsight@db/geo?schema=alps"     # without it: SQLite in the folder
    vectors = "milvus://milvus:19530/default/alps"                    # without it: FAISS in the folder
    files = "s3://bucket/alps?endpoint=https://storage"               # without it: vectors and pictures in the folder

`${NAME}` inserts an environment variable, e.g. a password. A relative folder is relative to the file.
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
    """Contents of an archive's TOML file."""

    folder: Path
    """Folder of files; shared by all machines, or one per machine if `files` are elsewhere."""
    catalog: str | None = None
    """URL of the catalog, or None for SQLite in the folder."""
    vectors: str | None = None
    """URL of the vectors, or None for files in the folder."""
    files: str | None = None
    """URL of the object storage for vectors and pyramids, or None for the folder."""


def read_config(file: Path) -> ArchiveConfig:
    """Read a file.

    Raises:
        ArchiveError: The file is missing, is not TOML, or has an invalid value.
    """
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArchiveError(f"{file}: cannot be read ({error.strerror}); create it with: bandsight init") from error
    except ValueError as error:
        raise ArchiveError(f"{file}: not valid TOML ({error})") from error
    if unknown := sorted(set(found) - set(_KEYS)):
        raise ArchiveError(f"{file}: unknown keys {', '.join(unknown)}; allowed are {', '.join(_KEYS)}")
    for key, value in found.items():
        if not isinstance(value, str) or not value:
            raise ArchiveError(f"{file}: {key}: found {value!r}; need a string")
    values = {key: _filled(file, key, value) for key, value in found.items()}
    if "://" in values.get("folder", ""):
        raise ArchiveError(f"{file}: folder: found {values['folder']}; need a local folder; set the URL as files")
    return ArchiveConfig(
        folder=(file.parent / values.get("folder", ".")).absolute(),
        catalog=values.get("catalog"),
        vectors=values.get("vectors"),
        files=values.get("files"),
    )


def write_config(file: Path, config: ArchiveConfig) -> None:
    """Write a file, readable only by its owner if it contains a password.

    Raises:
        ArchiveError: The file exists already or cannot be written.
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
