"""What `deploy` holds: its resources against the schemas of Kubernetes itself, its Dockerfile by hadolint."""

import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

FOLDER = Path(__file__).parents[3] / "deploy" / "kubernetes"
RESOURCES = [
    (path.name, found) for path in sorted(FOLDER.glob("*.yaml")) for found in yaml.safe_load_all(path.read_text())
]


@pytest.mark.parametrize(("file", "resource"), RESOURCES, ids=[f"{file}-{found['kind']}" for file, found in RESOURCES])
def test_kubernetes_takes_it(file, resource):
    kubernetes_validate.validate(resource, "1.34", strict=True)


def test_the_role_gives_no_more_than_is_used():
    (role,) = (found for _, found in RESOURCES if found["kind"] == "Role")
    granted = {(kind, verb) for rule in role["rules"] for kind in rule["resources"] for verb in rule["verbs"]}
    assert granted == {
        ("configmaps", "get"),
        ("secrets", "get"),
        ("pods", "get"),
        ("workflows", "get"),
        ("workflowtaskresults", "create"),
        ("workflowtaskresults", "patch"),
    }
    for rule in role["rules"]:
        if {"secrets", "configmaps"} & set(rule["resources"]):
            assert rule["resourceNames"], "one secret, not all of them"


def test_no_secret_is_in_a_file():
    assert not [found for _, found in RESOURCES if found["kind"] == "Secret"]


def test_hadolint_finds_nothing_in_the_dockerfile():
    hadolint = Path(sys.executable).with_name("hadolint")
    ran = subprocess.run([hadolint, FOLDER.parent / "Dockerfile"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
