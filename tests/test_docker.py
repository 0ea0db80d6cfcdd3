"""The container files against the project: paths, commands and names in them must exist."""

import ast
import json
import re
import tomllib
from distutils.core import run_setup
from fnmatch import fnmatch
from pathlib import Path

import pytest
import setuptools  # noqa: F401 - provides distutils where Python has none of its own
import yaml
from typer.main import get_command

import bandsight
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
def test_what_is_copied_is_there_and_reaches_the_builder(source: str) -> None:
    assert (ROOT / source).exists()
    assert not is_ignored(source)


def test_the_builder_sees_no_work_tree_leftovers() -> None:
    assert all(is_ignored(name) for name in (".git", ".venv", ".cache", "demo-archive", "tests", "bandsight.pyc"))


def test_every_package_of_the_project_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    build = run_setup("setup.py", stop_after="init")
    folders = {build.package_dir.get(name, name.split(".")[0]) for name in build.packages}
    assert folders >= {"bandsight", "indexer", "migrations", "search_api"}
    assert folders <= set(copied())
    assert {project["project"]["readme"], *project["project"]["license-files"]} <= set(copied())


def test_the_step_that_reads_the_dependencies_finds_them() -> None:
    step = next(rest for rest in values("RUN") if "tomllib" in rest)
    code = re.search(r'python -c "(.*?)" >', step)
    assert code
    ast.parse(code[1])
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pattern = re.search(r"grep -E '(.*?)'", step)
    assert pattern
    assert [re.split("[<>=]", name)[0] for name in wanted if re.search(pattern[1], name)] == ["torch", "torchvision"]


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
    named = set(environment()) | {name for service in compose["services"].values() for name in service["environment"]}
    ours = {name for name in named if name.startswith("BANDSIGHT_")}
    assert ours >= {"BANDSIGHT_ARCHIVE", "BANDSIGHT_HOST", "BANDSIGHT_PORT"}
    assert ours <= command_line_variables() | {f"BANDSIGHT_{name.upper()}" for name in ApiSettings.model_fields}


def test_the_health_check_is_python_that_asks_a_real_route() -> None:
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


def test_services_run_real_commands_on_one_archive(compose: dict) -> None:
    services = compose["services"]
    for service in services.values():
        name, *arguments = service["command"]
        get_command(app).commands[name].make_context(name, [*arguments, "--archive", "a"])
        assert f"archive:{environment()['BANDSIGHT_ARCHIVE']}" in service["volumes"]
        assert f"models:{environment()['HF_HOME']}" in service["volumes"]
        (scenes,) = (volume for volume in service["volumes"] if isinstance(volume, dict))
        assert scenes["read_only"]
    assert services["indexer"]["profiles"] == ["index"]
    assert scenes["target"] in services["indexer"]["command"]


def test_compose_builds_the_file_with_arguments_it_knows(compose: dict) -> None:
    declared = {rest.split("=")[0] for rest in values("ARG")}
    for service in compose["services"].values():
        build = service["build"]
        assert (ROOT / "docker" / build["context"] / build["dockerfile"]).is_file()
        assert set(build["args"]) <= declared
        assert service["image"].startswith(f"bandsight:{bandsight.__version__}-")
