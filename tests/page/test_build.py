"""The committed build of the page is up to date with its sources."""

import hashlib
import json
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
WEB, BUILT = ROOT / "web", ROOT / "search_api" / "static"
FILES = ("docs.html", "index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts")


def digest(root: Path) -> str:
    """Return the digest of the sources as web/build/sources.mjs computes it."""
    found = [
        path.relative_to(root).as_posix()
        for folder in ("build", "src")
        for path in (root / folder).rglob("*")
        if path.is_file()
    ]
    whole = hashlib.sha256()
    for name in sorted([*FILES, *found]):
        data = (root / name).read_bytes()
        whole.update(f"{name}\0{len(data)}\0".encode() + data)
    return whole.hexdigest()


def test_the_built_page_is_not_stale() -> None:
    assert (BUILT / "sources.sha256").read_text().strip() == digest(WEB), "run: npm ci && npm run build, in web/"


def test_a_changed_source_makes_the_build_stale(tmp_path: Path) -> None:
    copy = tmp_path / "web"
    shutil.copytree(WEB, copy, ignore=shutil.ignore_patterns("node_modules"))
    assert digest(copy) == digest(WEB)
    (copy / "src" / "main.tsx").write_text("// other")
    assert digest(copy) != digest(WEB)


def test_every_file_that_the_page_links_to_exists() -> None:
    text = (BUILT / "index.html").read_text()
    linked = re.findall(r'(?:src|href)="static/([^"]+)"', text)
    assert len(linked) >= 3
    assert all((BUILT / name).is_file() for name in linked)


def test_the_lockfile_names_no_other_registry() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text())
    resolved = {one["resolved"] for one in lock["packages"].values() if "resolved" in one}
    assert all(url.startswith("https://registry.npmjs.org/") for url in resolved)
