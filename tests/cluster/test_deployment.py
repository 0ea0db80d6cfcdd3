"""The compose files and the Helm chart against the specifications that they must follow."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from bandsight.cli import app
from search_api.health import router
from tests.cluster.install import DEPLOY_VENV
from tests.test_docker import ROOT, environment, known_variables

pytestmark = pytest.mark.cluster
CHART = ROOT / "docker/helm/bandsight"
KEY = {"secret": {"values": {"BANDSIGHT_KEY": "a-secret-of-16-characters"}}}
EVERYTHING = {
    "image": {"pullSecrets": ["registry"], "tag": "1.2.3"},
    "archive": {"vectors": "", "model": "dofa"},
    "secret": {"existing": "mine"},
    "serviceAccount": {"annotations": {"role": "arn"}},
    "scratch": {"storageClass": "fast"},
    "scenes": {"claim": "scenes"},
    "api": {
        "replicas": 3,
        "autoscaling": {"enabled": False},
        "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "x"}],
    },
    "ingress": {"enabled": True, "className": "nginx", "annotations": {"a": "b"}, "tlsSecret": "tls"},
    "ray": {"worker": {"gpus": 1, "nodeSelector": {"nvidia.com/gpu.present": "true"}}},
    "index": {"sources": ["/scenes", "stac:https://host/api"]},
}


def report(script: str, *arguments: str, given: str = "") -> list:
    done = subprocess.run(
        [str(DEPLOY_VENV / "bin" / "python"), str(Path(__file__).with_name(script)), *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_compose_files_follow_the_specification(tmp_path):
    files = [ROOT / "docker/compose.yaml", ROOT / "docker/cluster.yaml"]
    broken = []
    for number, (right, wrong) in enumerate(
        (("mem_limit: 256m", "mem_limit: lots"), ("healthcheck:", "helthcheck:"), ("replicas: 2", "replicas: two"))
    ):
        text = files[1].read_text()
        assert right in text
        broken.append(tmp_path / f"{number}.yaml")
        broken[-1].write_text(text.replace(right, wrong))
    found = report("compose_report.py", *map(str, [*files, *broken]))
    assert found[:2] == [[], []]
    assert all(found[2:]), "a wrong file is found out"


@pytest.fixture(scope="module")
def rendered() -> list[dict]:
    wrong = {**KEY, "api": {"resources": {"requests": {"cpu": ["much"]}}}}
    values = [KEY, EVERYTHING, {}, wrong, {**KEY, "archive": {"catalog": "sqlite:///a"}}, {**KEY, "apii": {}}]
    return report("chart_report.py", str(CHART), given=json.dumps(values))


def test_what_the_chart_makes_follows_the_schemas_of_kubernetes(rendered):
    usual, everything, *wrong = rendered
    assert usual["errors"] == everything["errors"] == []
    assert [len(one["errors"]) > 0 for one in wrong] == [True] * 4
    assert "secret.values.BANDSIGHT_KEY: set it" in wrong[0]["errors"][-1]
    kinds = {one["kind"] for one in [*usual["objects"], *everything["objects"]]}
    assert kinds >= {"ConfigMap", "CronJob", "Deployment", "HorizontalPodAutoscaler", "Ingress", "Job", "Secret"}


def pods(objects: list[dict]) -> dict[str, dict]:
    """Return the pod of each object that makes some, by the container's name."""
    found = {}
    for one in objects:
        spec = one.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            pod = spec["template"]["spec"]
            found[pod["containers"][0]["name"]] = pod
    return found


def test_pods_run_commands_that_exist_with_settings_that_exist(rendered):
    every = pods(rendered[0]["objects"]) | pods(rendered[1]["objects"])
    assert set(every) == {"api", "index", "prepare", "ray-head", "ray-worker"}
    for name, pod in every.items():
        (container,) = pod["containers"]
        names = {one["name"] for one in container.get("env", [])}
        assert {one for one in names if one.startswith("BANDSIGHT_")} <= known_variables(), name
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert {"requests", "limits"} <= set(container["resources"]), name
        places = {one["mountPath"] for one in container["volumeMounts"]}
        assert places >= {"/config", environment()["BANDSIGHT_ARCHIVE"], environment()["HF_HOME"]}
        assert {one["name"] for one in container["volumeMounts"]} <= {one["name"] for one in pod["volumes"]}
    commands = get_command(app).commands
    for arguments in (every["api"]["containers"][0]["args"], every["index"]["containers"][0]["args"]):
        commands[arguments[0]].make_context(arguments[0], [*arguments[1:], "--archive", "a"])
    (prepare,) = every["prepare"]["containers"][0]["args"]
    assert {words.split()[1] for words in prepare.split(" || ")} <= set(commands)


def test_probes_ask_routes_that_exist_on_the_port_of_the_image(rendered):
    (container,) = pods(rendered[0]["objects"])["api"]["containers"]
    paths = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths == {"/startupz", "/healthz", "/readyz"}
    assert paths <= {getattr(route, "path", None) for route in router.routes}
    assert [port["containerPort"] for port in container["ports"]] == [int(environment()["BANDSIGHT_PORT"])]


def test_the_archive_s_file_is_one_that_every_command_reads(rendered, tmp_path, monkeypatch):
    from bandsight.archive.config import read_config

    monkeypatch.setenv("POSTGRES_PASSWORD", "word")
    for number, one in enumerate(rendered[:2]):
        (config,) = (found for found in one["objects"] if found["kind"] == "ConfigMap")
        (tmp_path / "archive.toml").write_text(config["data"]["archive.toml"])
        found = read_config(tmp_path / "archive.toml")
        assert str(found.folder) == environment()["BANDSIGHT_ARCHIVE"]
        assert (found.vectors is None) == (number == 1)
        assert str(found.files).startswith("s3://")
        assert "word@" in str(found.catalog)


def test_gpus_replicas_and_autoscaling_are_as_the_values_say(rendered):
    usual, everything = (one["objects"] for one in rendered[:2])
    worker = pods(everything)["ray-worker"]
    assert worker["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert worker["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert "nvidia.com/gpu" not in pods(usual)["ray-worker"]["containers"][0]["resources"]["limits"]
    deployments = {one["metadata"]["name"]: one["spec"] for one in everything if one["kind"] == "Deployment"}
    assert deployments["here-bandsight-api"]["replicas"] == 3
    (scaler,) = (one["spec"] for one in usual if one["kind"] == "HorizontalPodAutoscaler")
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 8)
    assert not [one for one in everything if one["kind"] in {"HorizontalPodAutoscaler", "Secret"}]


def test_the_chart_has_the_version_of_the_program():
    from bandsight import __version__

    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__
