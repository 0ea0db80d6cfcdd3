"""Finds the packages. Everything else about the build is in pyproject.toml, which cannot describe the mapping below."""

from setuptools import find_namespace_packages, find_packages, setup

# Folders of data, such as bandsight/model/embedded, are found as namespace packages.
_TOP_LEVEL = ["bandsight", "indexer", "search_api"]
_INCLUDE = [*_TOP_LEVEL, *(f"{name}.*" for name in _TOP_LEVEL)]

# Alembic's folder lies at the top of the repository and is installed as `bandsight.migrations`: `migrations` is too
# general a name for a top-level package in site-packages.
setup(
    packages=[
        *find_namespace_packages(include=_INCLUDE, exclude=["*__pycache__*"]),
        "bandsight.migrations",
        *(f"bandsight.migrations.{name}" for name in find_packages("migrations")),
    ],
    package_dir={"bandsight.migrations": "migrations"},
)
