"""Checks, without a network, that the lock files are in step with pyproject.toml; `make lock` writes them anew.

    python requirements/check.py [FOLDER]

FOLDER is the project's; it is the folder above this one by default.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_LOCKS = ("runtime", "development")
# A lock says of each package who needs it; this project stands among them with its extra or group.
_DIRECT = re.compile(r"\bbandsight\b")
# A lock serves all platforms. These are the ones on which every requirement must have exactly one version.
_PLATFORMS = [
    {
        "python_version": f"3.{minor}",
        "python_full_version": f"3.{minor}.0",
        "sys_platform": system,
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[system],
        "platform_machine": machine,
    }
    for minor in (11, 12, 13)
    for system, machine in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One package of a lock."""

    requirement: Requirement
    """Name, version and marker."""
    has_hashes: bool
    """Whether files can be checked."""
    is_direct: bool
    """Whether pyproject.toml itself names the package."""

    @property
    def name(self) -> str:
        """The normalised name."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The version."""
        return str(self.requirement.specifier).removeprefix("==")


def read_lock(text: str) -> list[Pin]:
    """Return the packages of a lock in the format of pip's requirements files."""
    pins: list[Pin] = []
    for entry in re.split(r"\n(?=[A-Za-z0-9])", f"\n{text}")[1:]:
        first, _, rest = entry.partition("\n")
        pins.append(
            Pin(
                requirement=Requirement(first.rstrip(" \\")),
                has_hashes="--hash=sha256:" in rest,
                is_direct=any(_DIRECT.search(line) for line in rest.splitlines() if line.lstrip().startswith("#")),
            )
        )
    return pins


def requirements(project: dict[str, Any], extras: Sequence[str], groups: Sequence[str]) -> Iterator[Requirement]:
    """Yield what a project needs; an extra may name other extras of the project itself."""
    named = project["project"]
    texts = list(named["dependencies"])
    for group in groups:
        texts += project["dependency-groups"][group]
    waiting = list(extras)
    while waiting:
        texts += named["optional-dependencies"][waiting.pop()]
        own = [text for text in texts if Requirement(text).name == named["name"]]
        waiting += [extra for text in own for extra in Requirement(text).extras]
        texts = [text for text in texts if text not in own]
    yield from map(Requirement, texts)


def problems(project: dict[str, Any], lock: Sequence[Pin], extras: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Return a sentence for each way in which a lock differs from what a project needs."""
    needed = list(requirements(project, extras, groups))
    names = {canonicalize_name(requirement.name) for requirement in needed}
    found = [f"{pin.requirement.name} has no hashes" for pin in lock if not pin.has_hashes]
    found += [
        f"{pin.name} is locked as a requirement of this project, and pyproject.toml does not name it"
        for pin in lock
        if pin.is_direct and pin.name not in names
    ]
    for platform in _PLATFORMS:
        for requirement in needed:
            if requirement.marker is not None and not requirement.marker.evaluate(platform):
                continue
            pins = [
                pin
                for pin in lock
                if pin.name == canonicalize_name(requirement.name)
                and (pin.requirement.marker is None or pin.requirement.marker.evaluate(platform))
            ]
            versions = [pin.version for pin in pins]
            if len(pins) != 1 or not requirement.specifier.contains(versions[0], prereleases=True):
                where = f"{platform['sys_platform']} with Python {platform['python_version']}"
                locked = " and ".join(versions) or "no version"
                found.append(f"{requirement}: {locked} is locked for {where}")
    return found


def main() -> None:
    """Print what is out of step, and fail when anything is."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())
    runtime, development = (read_lock((root / f"requirements/{name}.txt").read_text()) for name in _LOCKS)
    found = problems(project, runtime, ["all"], [])
    found += problems(project, development, ["all", "training"], ["dev"])
    # What both need may be needed on more platforms for development.
    everywhere = {f"{pin.name}=={pin.version}" for pin in development if pin.requirement.marker is None}
    same = {str(pin.requirement) for pin in development}
    other = {
        str(pin.requirement)
        for pin in runtime
        if str(pin.requirement) not in same and f"{pin.name}=={pin.version}" not in everywhere
    }
    found += [f"{pin} is in runtime.txt, and not in development.txt" for pin in sorted(other)]
    if found:
        sys.exit("\n".join([*dict.fromkeys(found), "The lock is out of step with pyproject.toml: run make lock"]))


if __name__ == "__main__":
    main()
