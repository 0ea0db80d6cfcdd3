"""The table of public test corpora: written, compared with a later run, and free of this machine's paths."""

import sys

import pytest

from bench import corpora
from tests.rasters import picture, write


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["corpora", *map(str, arguments)])
    code = 0
    try:
        corpora.main()
    except SystemExit as end:
        code = int(end.code or 0)
    return code, capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="reader processes are forked")
def test_a_later_run_lists_files_that_are_recognised_differently(tmp_path, monkeypatch, capsys):
    folder, table = tmp_path / "clones", tmp_path / "corpora.csv"
    write(folder / "one" / "data" / "rgb.tif", picture(3, 64, 64))
    write(folder / "one" / "data" / "what.tif", picture(5, 64, 64))
    write(folder / "two" / "m_4709963_se_14_1_20120731.tif", picture(4, 64, 64), alpha="NO")
    code, out = run(monkeypatch, capsys, folder, "--table", table, "--write")
    assert code == 0
    assert "| one | 1 | 1 | n bands of uintn, and nothing says which bands these are (1) |" in out
    assert "| two | 1 | 0 |  |" in out
    written = table.read_text()
    assert "one,data/rgb.tif,rgb,0.665 0.56 0.49," in written
    assert str(tmp_path) not in written
    assert run(monkeypatch, capsys, folder, "--table", table)[0] == 0
    write(folder / "one" / "data" / "rgb.tif", picture(3, 64, 64), nodata=0)
    (folder / "one" / "data" / "what.tif").unlink()
    write(folder / "one" / "new.tif", picture(3, 64, 64))
    code, out = run(monkeypatch, capsys, folder, "--table", table)
    assert code == 1
    assert "changed: one / data/rgb.tif: no data '' → '0'" in out
    assert "gone: one / data/what.tif" in out
    assert "new: one / new.tif: rgb" in out
    assert "two" not in out.split("reasons |")[1].split("\n", 4)[4]
