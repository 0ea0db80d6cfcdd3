"""A large derived file is read once to compare it with its checksum, and again when it has changed."""

import hashlib
from pathlib import Path

from bandsight.vectors.local.checked_files import CheckedFiles


class Reader:
    """Computes the checksum of a file, and counts how often."""

    def __init__(self, file: Path) -> None:
        self.file, self.read = file, 0

    def __call__(self) -> str:
        self.read += 1
        return hashlib.sha256(self.file.read_bytes()).hexdigest()


def a_file(folder: Path, content: bytes) -> tuple[Path, Reader, str]:
    file = folder / "seg-1.bsc"
    file.write_bytes(content)
    return file, Reader(file), hashlib.sha256(content).hexdigest()


def test_a_large_file_is_read_once_also_by_other_processes(tmp_path: Path):
    file, reader, expected = a_file(tmp_path, b"a" * 100)
    assert CheckedFiles(tmp_path, large=100).sound(file, expected, reader)
    assert CheckedFiles(tmp_path, large=100).sound(file, expected, reader)
    assert reader.read == 1


def test_a_changed_file_is_read_again(tmp_path: Path):
    file, reader, expected = a_file(tmp_path, b"a" * 100)
    checked = CheckedFiles(tmp_path, large=100)
    assert checked.sound(file, expected, reader)
    file.write_bytes(b"b" + b"a" * 99)
    assert not checked.sound(file, expected, reader)
    assert not checked.sound(file, expected, reader), "damage is not remembered as soundness"
    assert not checked.sound(file, "0" * 64, reader), "nor is the checksum of other content"


def test_a_small_file_is_read_each_time(tmp_path: Path):
    file, reader, expected = a_file(tmp_path, b"a" * 99)
    checked = CheckedFiles(tmp_path, large=100)
    assert all(checked.sound(file, expected, reader) for _ in range(3))
    assert reader.read == 3


def test_a_damaged_record_is_written_again(tmp_path: Path):
    file, reader, expected = a_file(tmp_path, b"a" * 100)
    (tmp_path / "checked.json").write_bytes(b"[1, 2")
    checked = CheckedFiles(tmp_path, large=100)
    assert all(checked.sound(file, expected, reader) for _ in range(3))
    assert reader.read == 1
