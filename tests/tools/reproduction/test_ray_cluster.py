"""The Ray executor on a real cluster of two machines' worth of processes."""

import json
import shutil
import subprocess
import time

import pytest

pytestmark = [
    pytest.mark.ray,
    # Ray's own warnings are not ours to mend.
    pytest.mark.filterwarnings("ignore"),
]

OPTIONS = ("--experiment=table1", "--seeds=0,1", "--probe_steps=0", "--random_weights")


@pytest.fixture
def cluster():
    """A head and a second machine; each has room for one run at a time."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    second = made.add_node(num_cpus=2)
    made.wait_for_nodes()
    yield made, second
    made.shutdown()


def attempts(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "attempts.jsonl").read_text().splitlines()]


def test_a_lost_machine_loses_no_run(cluster, reproduce, tmp_path):
    machines, second = cluster
    output = tmp_path / "results"
    options = (*OPTIONS, "--epochs=40", "--executor=ray", f"--address={machines.address}")
    process = subprocess.Popen(
        reproduce.command(output, *options),
        env=reproduce.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # Both machines are at work.
    while len(list(output.glob("runs/*/workdir/metrics.jsonl"))) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    machines.remove_node(second, allow_graceful=False)
    stdout, stderr = process.communicate(timeout=400)
    assert process.returncode == 0, (stdout, stderr)

    runs = [path for path in (output / "runs").iterdir() if path.is_dir()]
    assert len(runs) == 4
    assert all((run / "result.json").exists() for run in runs)
    starts = [sum(line["event"] == "started" for line in attempts(run)) for run in runs]
    # The run of the lost machine was begun twice, and no other.
    assert sorted(starts) == [1, 1, 1, 2]
    ends = [
        sum(line["event"] == "ended" and line["code"] == 0 for line in attempts(run))
        for run in runs
    ]
    assert ends == [1] * 4
    assert (output / "index.html").exists()


def test_a_failed_run_is_not_repeated(reproduce, toy_root, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(toy_root / "tile", root / "tile")
    (root / "tile" / "train" / "good" / "003.png").write_bytes(b"no image")
    output = tmp_path / "results"
    options = ("--experiment=table1", "--seeds=0", "--probe_steps=0", "--random_weights")
    done = reproduce.run(output, *options, "--executor=ray", f"--data.root={root}")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.count("no result of RD") == 2 and "003.png" in done.stderr
    for path in output.glob("runs/*/failure.json"):
        assert len([a for a in attempts(path.parent) if a["event"] == "started"]) == 1
