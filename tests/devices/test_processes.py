"""Settings of several processes, and the job files; real processes: commands/test_multihost.py."""

import contextlib
import os
import re
import shlex
from pathlib import Path

import pytest
import yaml

from rdvar_jax.cli.main import main
from rdvar_jax.devices.processes import barrier, check_agreement, is_main_process, membership
from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.checks import check_training
from rdvar_jax.runs.config import default_config

JOB_FILES = Path(__file__).parents[2] / "docs" / "multihost"
TWO = {"coordinator": "host:1234", "num_processes": 2, "process_id": 0}


def enter(**settings):
    """Enters with these settings, without connecting or waiting."""
    with membership(lambda error: 1, **{**default_config().distributed, **settings}):
        pass


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**TWO, "process_id": 2}, "distributed.process_id=2 must be one of 0 to 1 for .*=2,"),
        ({**TWO, "process_id": -1}, "distributed.process_id=-1 must be one of 0 to 1"),
        ({**TWO, "coordinator": ""}, r"distributed.coordinator=\(missing\) must be HOST:PORT"),
        ({**TWO, "coordinator": "host"}, "distributed.coordinator=host must be HOST:PORT"),
        ({"num_processes": 0}, "distributed.num_processes=0 must be at least 1"),
        ({"coordinator": "host:1", "process_id": 1}, "process_id=1 must be one of 0 to 0"),
        ({"lost_after_seconds": 0}, "distributed.lost_after_seconds=0 must be at least 1"),
        ({"connect_seconds": 0}, "distributed.connect_seconds=0 must be at least 1"),
        ({**TWO, "auto": True}, "distributed.auto=True takes .* leave them out, or auto"),
        ({"process_id": 0, "auto": True}, "distributed.auto=True takes"),
    ],
)
def test_bad_settings_are_one_sentence(settings, message):
    with pytest.raises(ConfigError, match=message) as info:
        enter(**settings)
    assert len(str(info.value).splitlines()) == 1


@pytest.mark.parametrize("settings", [{}, {"coordinator": "host:1", "process_id": 0}])
def test_one_process_does_nothing(settings):
    with pytest.raises(ZeroDivisionError):  # and leaves errors as they are
        with membership(lambda error: 1, **{**default_config().distributed, **settings}):
            assert is_main_process()
            barrier("nobody")
            check_agreement("nothing", "")
            raise ZeroDivisionError


def commands(path: Path) -> list[str]:
    """Arguments of `rdvar` in a job file."""
    text = path.read_text()
    if path.suffix == ".yaml":
        job = yaml.safe_load_all(text)
        containers = [
            container
            for document in job
            if document["kind"] == "Job"
            for container in document["spec"]["template"]["spec"]["containers"]
        ]
        assert len(containers) == 1
        text = containers[0]["command"][-1]
    found = re.findall(r"^[^#\n]*rdvar (train .*)", text.replace("\\\n", " "), flags=re.MULTILINE)
    assert len(found) == 1
    return shlex.split(os.path.expandvars(found[0]))


@pytest.mark.parametrize("name", ["train.sbatch", "kubernetes.yaml"])
def test_the_job_files_commands_are_understood(name, toy_root, tmp_path, monkeypatch):
    seen = {}

    @contextlib.contextmanager
    def join(report, **settings):
        seen["distributed"] = settings
        yield

    monkeypatch.setattr("rdvar_jax.cli.train.start_jax", lambda: None)
    monkeypatch.setattr("rdvar_jax.cli.main.start_logging", lambda: None)
    monkeypatch.setattr("rdvar_jax.devices.processes.membership", join)
    monkeypatch.setattr("rdvar_jax.commands.train.train", lambda *args: seen.update(train=args))
    monkeypatch.chdir(JOB_FILES.parents[1])
    variables = {
        "DATA": toy_root,
        "CATEGORY": "tile",
        "WORKDIR": tmp_path,
        "JOB_COMPLETION_INDEX": 1,
    }
    for variable, value in variables.items():
        monkeypatch.setenv(variable, str(value))
    assert main(commands(JOB_FILES / name)) == 0
    config, _ = seen["train"]
    config.data.root, config.data.category = str(toy_root), "tile"
    # As many devices as the file asks for: two nodes of four.
    check_training(config, num_local_devices=4, num_processes=2)
    check_training(config, num_local_devices=1, num_processes=8)
    if name == "kubernetes.yaml":
        assert seen["distributed"]["process_id"] == 1
        assert not seen["distributed"]["auto"]
    else:
        assert seen["distributed"]["auto"]


def test_the_kubernetes_file_agrees_with_itself():
    service, job = yaml.safe_load_all((JOB_FILES / "kubernetes.yaml").read_text())
    pod, name = job["spec"]["template"]["spec"], job["metadata"]["name"]
    assert job["spec"]["completionMode"] == "Indexed"
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": name}
    assert pod["subdomain"] == service["metadata"]["name"]
    words = commands(JOB_FILES / "kubernetes.yaml")
    number = job["spec"]["completions"]
    assert number == job["spec"]["parallelism"]
    assert f"--config.distributed.num_processes={number}" in words
    assert f"--config.distributed.coordinator={name}-0.{pod['subdomain']}:55527" in words
