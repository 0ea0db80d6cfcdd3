"""The container files against the project: paths, commands and names in them must exist."""

import ast
import configparser
import json
import re
import runpy
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import setuptools
import yaml
from packaging.requirements import Requirement
from packaging.version import Version
from typer.main import get_command

from bandsight.cli import app
from search_api.health import router
from search_api.settings import ApiSettings

ROOT = Path(__file__).parents[1]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, comments left out and continued lines joined."""
    lines = [
        line for line in (ROOT / "docker/Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")
    ]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def values(name: str) -> list[str]:
    return [rest for found, rest in instructions() if found == name]


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in values("ENV") for pair in rest.split())


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((ROOT / "docker/compose.yaml").read_text())


def command_line_variables() -> set[str]:
    commands = get_command(app).commands.values()
    return {str(param.envvar) for command in commands for param in command.params if getattr(param, "envvar", None)}


def known_variables() -> set[str]:
    return command_line_variables() | {f"BANDSIGHT_{name.upper()}" for name in ApiSettings.model_fields}


def is_ignored(path: str) -> bool:
    ignored = False
    for pattern in (ROOT / ".dockerignore").read_text().splitlines():
        if pattern and not pattern.startswith("#"):
            bare = pattern.lstrip("!").removeprefix("**/")
            if fnmatch(path, bare) or path.startswith(f"{bare}/"):
                ignored = not pattern.startswith("!")
    return ignored


def copied() -> list[str]:
    rests = [rest for rest in values("COPY") if not rest.startswith("--from")]
    return [source for rest in rests for source in rest.split()[:-1]]


@pytest.mark.parametrize("source", copied())
def test_copied_files_exist_and_reach_the_builder(source: str) -> None:
    assert (ROOT / source).exists()
    assert not is_ignored(source)


def test_the_builder_sees_no_work_tree_leftovers() -> None:
    assert all(is_ignored(name) for name in (".git", ".venv", ".cache", "demo-archive", "tests", "bandsight.pyc"))


def test_every_package_of_the_project_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    build: dict[str, Any] = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(setuptools, "setup", build.update)
    runpy.run_path("setup.py")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = {build["package_dir"].get(name, name.split(".")[0]) for name in build["packages"]}
    assert folders >= {"bandsight", "indexer", "migrations", "search_api"}
    assert folders <= set(copied())
    assert {project["project"]["readme"], *project["project"]["license-files"]} <= set(copied())


def steps_of_the_processor_variant() -> tuple[str, str]:
    """The two awk programs that divide the lock."""
    torch, locked = re.findall(r"awk '(.*?)'", next(rest for rest in values("RUN") if "awk" in rest))
    return torch, locked


def locked_names(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9][\w.-]*)==", lock, re.MULTILINE))


def test_the_cpu_variant_leaves_out_torch_and_its_dependencies() -> None:
    lock = ROOT / "requirements/runtime.txt"
    torch, locked = (
        subprocess.run(["awk", program, lock], capture_output=True, text=True, check=True).stdout
        for program in steps_of_the_processor_variant()
    )
    assert re.fullmatch(r"torch==[\d.]+\ntorchvision==[\d.]+\n", torch)
    left_out = locked_names(lock.read_text()) - locked_names(locked)
    needed_by_faiss = {name for name in locked_names(lock.read_text()) if name.endswith("-cu12")}
    assert needed_by_faiss
    assert not left_out & needed_by_faiss
    assert left_out >= {"torch", "torchvision", "triton", "nvidia-cublas", "nvidia-cudnn-cu13", "cuda-bindings"}
    assert all(name.startswith(("torch", "triton", "cuda-", "nvidia-")) for name in left_out)
    hashes = locked.count("--hash=sha256:")
    assert hashes > len(locked_names(locked))


def test_the_image_has_a_gdal_that_reads_deflate64_from_zips() -> None:
    """GDAL 3.12 came with rasterio 1.5, which has wheels from Python 3.12 on."""
    python = re.search(r"python:(3\.\d+)", dict(rest.split("=", 1) for rest in values("ARG"))["BASE"])
    assert python
    pins = [
        Requirement(line.rstrip(" \\"))
        for line in (ROOT / "requirements/runtime.txt").read_text().splitlines()
        if line.startswith("rasterio==")
    ]
    (pin,) = (
        pin for pin in pins if pin.marker is None or pin.marker.evaluate({"python_full_version": f"{python[1]}.0"})
    )
    assert Version(str(pin.specifier).removeprefix("==")) >= Version("1.5")


def test_base_images_are_pinned() -> None:
    declared = dict(rest.split("=", 1) for rest in values("ARG"))
    for rest in values("FROM"):
        image = re.sub(r"\$\{(\w+)\}", lambda found: declared[found[1]], rest.split()[0])
        assert re.fullmatch(r"[\w./-]+:\d[\w.-]+", image), image


def test_the_image_does_not_run_as_root() -> None:
    user = values("USER")[-1]
    assert user.isdigit()
    assert int(user) > 0
    assert any(f"--uid {user} " in rest for rest in values("RUN"))


def test_entry_point_and_command_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (entry,) = (json.loads(rest) for rest in values("ENTRYPOINT"))
    assert entry[0] in project["scripts"]
    (default,) = (json.loads(rest) for rest in values("CMD"))
    get_command(app).commands[default[0]].make_context(default[0], [*default[1:], "--archive", "a"])


def test_variables_are_ones_the_command_line_or_the_api_reads(compose: dict) -> None:
    named = set(environment()) | {name for service in ours_of(compose).values() for name in service["environment"]}
    ours = {name for name in named if name.startswith("BANDSIGHT_")}
    assert ours >= {"BANDSIGHT_ARCHIVE", "BANDSIGHT_HOST", "BANDSIGHT_PORT"}
    assert ours <= known_variables()


def test_the_health_check_is_python_and_requests_a_real_route() -> None:
    (check,) = values("HEALTHCHECK")
    interpreter, flag, code = json.loads(check[check.index("[") :])
    assert (interpreter, flag) == ("python", "-c")
    ast.parse(code)
    path = re.search(r"'(/\w+)'", code)
    assert path
    assert path[1] in {getattr(route, "path", None) for route in router.routes}
    assert set(re.findall(r"environ\['(\w+)'\]", code)) <= set(environment())


def test_ports_agree(compose: dict) -> None:
    port = environment()["BANDSIGHT_PORT"]
    assert values("EXPOSE") == [port]
    (published,) = compose["services"]["api"]["ports"]
    assert published.startswith("127.0.0.1:")
    assert published.endswith(f":{port}")


def ours_of(compose: dict) -> dict[str, dict]:
    """The services of our image."""
    return {name: service for name, service in compose["services"].items() if name != "proxy"}


def check_command(arguments: list[str]) -> None:
    name, *rest = arguments
    get_command(app).commands[name].make_context(name, [*rest, "--archive", "a"])


def test_services_run_real_commands_on_one_archive(compose: dict) -> None:
    services = ours_of(compose)
    assert set(services) == {"api", "indexer", "backup"}
    for service in services.values():
        assert f"archive:{environment()['BANDSIGHT_ARCHIVE']}" in service["volumes"]
    for name in ("api", "indexer"):
        check_command(services[name]["command"])
        assert f"models:{environment()['HF_HOME']}" in services[name]["volumes"]
        (scenes,) = (volume for volume in services[name]["volumes"] if isinstance(volume, dict))
        assert scenes["read_only"]
    assert scenes["target"] in services["indexer"]["command"]
    assert "--watch" in services["indexer"]["command"]
    (loop,) = services["backup"]["command"]
    command = re.search(r"bandsight (.*?);", loop.replace("${KEEP:-14}", "14"))
    assert command
    check_command(command[1].split())


def test_services_are_confined(compose: dict) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
        assert "mem_limit" in service, name
        assert not service.get("privileged"), name
    assert compose["services"]["indexer"]["stop_signal"] == "SIGINT"


def test_the_proxy_passes_requests_to_the_api(compose: dict) -> None:
    proxy = compose["services"]["proxy"]
    assert proxy["profiles"] == ["tls"]
    (file,) = (volume for volume in proxy["volumes"] if ":/etc/caddy/Caddyfile:" in volume)
    text = (ROOT / "docker" / file.split(":")[0]).read_text()
    assert f"reverse_proxy api:{environment()['BANDSIGHT_PORT']}" in text
    assert "{$SITE:localhost}" in text


UNITS = sorted((ROOT / "docker/systemd").glob("*.service"))


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return parser


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_units_run_real_commands_confined_and_with_a_limit_of_memory(path: Path) -> None:
    service = unit(path)["Service"]
    program, *arguments = service["ExecStart"].split()
    assert program.endswith("/bin/bandsight")
    check_command(arguments)
    assert service["User"] not in {"", "root"}
    assert (service["ProtectSystem"], service["NoNewPrivileges"]) == ("strict", "yes")
    assert service["ReadWritePaths"].split()[0] == "/var/lib/bandsight"
    assert service["CapabilityBoundingSet"] == ""
    assert "MemoryMax" in service


@pytest.mark.parametrize("path", sorted((ROOT / "docker/systemd").glob("*.timer")), ids=lambda path: path.stem)
def test_timers_start_an_existing_unit(path: Path) -> None:
    assert unit(path)["Timer"]["Persistent"] == "yes"
    assert path.with_suffix(".service") in UNITS


def test_the_settings_of_the_units_exist() -> None:
    lines = (ROOT / "docker/systemd/bandsight.env").read_text().splitlines()
    names = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    assert {name for name in names if name.startswith("BANDSIGHT_")} <= known_variables()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze, which checks units")
def test_systemd_finds_nothing_wrong_with_the_units() -> None:
    files = [str(path) for path in (ROOT / "docker/systemd").iterdir() if path.suffix in {".service", ".timer"}]
    checked = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    lines = [line for line in checked.stderr.splitlines() if "docker/systemd" in line or line.startswith("bandsight-")]
    # The program itself is not installed where the tests run.
    assert [line for line in lines if "is not executable" not in line] == []


def test_compose_builds_the_file_with_arguments_it_knows(compose: dict) -> None:
    declared = {rest.split("=")[0] for rest in values("ARG")}
    for service in ours_of(compose).values():
        build = service["build"]
        assert (ROOT / "docker" / build["context"] / build["dockerfile"]).is_file()
        assert set(build["args"]) <= declared
        assert service["image"] == "bandsight:${VARIANT:-cpu}"
