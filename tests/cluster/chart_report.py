"""Renders the Helm chart with Helm's own library and compares what comes out with the schemas of Kubernetes.

    .venv-deploy/bin/python tests/cluster/chart_report.py CHART < values.json

It runs in an environment of its own, reads a list of values as JSON, and prints for each the objects that come out and
what is wrong, by `helm lint` and by the schemas.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import yaml

VERSIONS = ("1.27.0", "1.37.0")


def report(chart: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Return what is found with some values."""
    found = helm_python.lint(chart, values, strict=True)
    errors = [f"{one['path']}: {one['error']}" for one in found["messages"] if one["severity"] > 1]
    try:
        with helm_python.Chart.load(chart) as loaded:
            loaded.validate_schema(values)
            rendered = loaded.render(values, name="here", namespace="space")
    except helm_python.HelmError as error:
        return {"errors": [*errors, str(error)], "objects": []}
    objects = [
        document
        for path, text in rendered.items()
        if path.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if document
    ]
    for version in VERSIONS:
        for one in objects:
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
                errors.append(f"{version}: {one['kind']} {one['metadata']['name']}: {str(error)[:500]}")
    return {"errors": errors, "objects": objects}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps([report(Path(sys.argv[1]), values) for values in json.load(sys.stdin)]))  # noqa: T201
