"""The compose file of a whole cluster: what its services call each other, run and need must exist."""

import re
import tomllib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from bandsight.archive.config import read_config
from bandsight.objects.place import Place
from tests.test_docker import ROOT, check_command, environment, known_variables

CONFIG = ROOT / "docker/cluster/archive.toml"
# Ports that the engines' images listen on.
PORTS = {"postgres": 5432, "milvus": 19530, "storage": 8333}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker/cluster.yaml").read_text())["services"]
    return found


def ours(services: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in services.items() if one["image"].startswith("bandsight:")}


def test_all_services_of_a_cluster_are_there(services: dict[str, Any]) -> None:
    assert set(services) == {"api", "proxy", "jobs", "ray-head", "ray-worker", *PORTS}
    assert services["api"]["deploy"]["replicas"] == 2
    assert "ports" not in services["api"], "two copies cannot have one port"


def test_the_archive_is_on_the_services_of_the_file(services: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    values = tomllib.loads(CONFIG.read_text()).values()
    variables = {name for value in values for name in re.findall(r"\$\{(\w+)\}", value)}
    for name, one in ours(services).items():
        assert variables <= set(one["environment"]), name
    monkeypatch.setenv("POSTGRES_PASSWORD", "word")
    monkeypatch.setenv("CACHE_GB", "20")
    config = read_config(CONFIG)
    assert str(config.folder) == environment()["BANDSIGHT_ARCHIVE"]
    assert config.catalog is not None
    assert config.vectors is not None
    assert config.files is not None
    place = Place.parse(config.files)
    for name, url in (("postgres", config.catalog), ("milvus", config.vectors), ("storage", str(place.endpoint))):
        parts = urlsplit(url)
        assert (parts.hostname, parts.port) == (name, PORTS[name])
        assert "healthcheck" in services[name]
    assert parse_qs(urlsplit(config.catalog).query)["schema"] == ["bandsight"]
    assert f"-s3.port={PORTS['storage']}" in services["storage"]["command"]
    catalog = urlsplit(config.catalog)
    given = services["postgres"]["environment"]
    assert (catalog.username, catalog.path) == (given["POSTGRES_USER"], f"/{given['POSTGRES_DB']}")


def test_programs_and_storage_have_the_same_keys(services: dict[str, Any]) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        values = {one["environment"][name] for one in [*ours(services).values(), services["storage"]]}
        assert len(values) == 1


def test_services_run_commands_with_settings_that_exist(services: dict[str, Any]) -> None:
    for name, one in ours(services).items():
        settings = {setting for setting in one["environment"] if setting.startswith("BANDSIGHT_")}
        assert settings <= known_variables(), name
        assert one["environment"]["BANDSIGHT_ARCHIVE"] == "/config/archive.toml"
        assert "./cluster/archive.toml:/config/archive.toml:ro" in one["volumes"]
        assert set(PORTS) <= set(one["depends_on"]) or name == "ray-worker"
        if "entrypoint" not in one:
            check_command(one["command"])
    assert CONFIG.is_file()


def test_workers_and_jobs_use_the_right_address_of_ray(services: dict[str, Any]) -> None:
    head, worker = services["ray-head"], services["ray-worker"]
    assert head["entrypoint"] == worker["entrypoint"] == ["ray"]
    (port,) = (word.partition("=")[2] for word in head["command"] if word.startswith("--port="))
    assert services["jobs"]["environment"]["BANDSIGHT_RAY_ADDRESS"] == f"ray-head:{port}"
    assert f"--address=ray-head:{port}" in worker["command"]
    assert f"--address=127.0.0.1:{port}" in head["healthcheck"]["test"]
    lock = (ROOT / "requirements/runtime.txt").read_text()
    assert re.search(r"^ray==", lock, re.MULTILINE), "the image has Ray"


def test_services_are_confined_and_limited(services: dict[str, Any]) -> None:
    for name, one in services.items():
        assert "mem_limit" in one, name
        assert not one.get("privileged"), name
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", [])), name
        if name not in PORTS:
            assert one["read_only"], name
            assert one["cap_drop"] == ["ALL"], name
            assert one["security_opt"] == ["no-new-privileges:true"], name


def test_the_proxy_shares_requests_between_the_copies(services: dict[str, Any]) -> None:
    (file,) = (one for one in services["proxy"]["volumes"] if ":/etc/caddy/Caddyfile:" in one)
    text = (ROOT / "docker" / file.split(":")[0]).read_text()
    assert re.search(rf"dynamic a api {environment()['BANDSIGHT_PORT']}\b", text)
    site = services["proxy"]["environment"]["SITE"]
    (port,) = services["proxy"]["ports"]
    assert port.rpartition(":")[2] == site.rpartition(":")[2].rstrip("}")


def test_the_charts_default_archive_is_readable() -> None:
    values = yaml.safe_load((ROOT / "docker/helm/bandsight/values.yaml").read_text())
    assert Place.parse(values["archive"]["files"]).bucket
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"] == values["image"]["repository"]
