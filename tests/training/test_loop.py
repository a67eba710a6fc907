"""The loop's contract, with a fake step: order, saving, stopping, divergence, resuming."""

import json
import os
import signal
import time
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdvar_jax.data.loading.sampling_order import batch_indices
from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.training.checkpoint import Checkpoints
from rdvar_jax.training.loop import Diverged, Schedule, SeveralSteps, run_epochs
from rdvar_jax.training.step import METRICS, TrainState, zero_sums
from rdvar_jax.training.stop import Stopped
from rdvar_jax.training.writer import MetricsWriter

ABOUT = {"settings": {}, "teacher": ""}  # what every manifest names


class Run:
    """A run whose "parameters" are a running hash of the batches that it has seen."""

    def __init__(self, folder, epochs=5, num_images=10, batch_size=4, **settings):
        defaults = {
            "log_every_steps": 2,
            "checkpoint_every_epochs": 2,
            "evaluate_every_epochs": 0,
        }
        self.schedule = Schedule(num_images, batch_size, epochs, seed=0, **{**defaults, **settings})
        self.folder = folder
        self.parallel = Parallel("pmap", (jax.local_devices()[0],))
        self.checkpoints = Checkpoints(folder / "checkpoints", "train_loss", False)
        self.seen = []
        self.nan_at, self.bad = None, np.nan
        self.signal_at = None
        self.on_step = lambda step: None

    def step_fn(self, state, indices):
        indices = np.asarray(jax.device_get(indices)).ravel()
        step = int(jax.device_get(state.step)) + 1
        self.seen.append((step, tuple(indices.tolist())))
        if step == self.signal_at:
            os.kill(os.getpid(), signal.SIGTERM)
        self.on_step(step)
        loss = np.float32(self.bad if step == self.nan_at else 1 / step)
        metrics = {name: loss for name in METRICS}
        sums = jax.device_get(state.epoch_sums)
        new_sums = {name: np.float32(sums[name] + loss) for name in METRICS}
        new_sums["count"] = np.float32(sums["count"] + 1)
        mixed = np.float32((jax.device_get(state.params) * 31 + indices.sum()) % 1009)
        return jax.device_put(
            (TrainState(np.int32(step), mixed, state.batch_stats, {}, new_sums), metrics)
        )

    def several_steps(self, state, indices):
        """Runs the steps of a call of several steps one by one."""
        all_metrics = []
        for column in np.asarray(jax.device_get(indices))[0].T:
            state, metrics = self.step_fn(state, column)
            all_metrics.append(jax.device_get(metrics))
        self.calls.append(len(all_metrics))
        return state, jax.device_put(
            {name: np.stack([metrics[name] for metrics in all_metrics]) for name in METRICS}
        )

    def go(self, evaluate_fn=None, feed=None, steps_per_call=1, ends_early=None):
        self.calls = []
        restored = self.checkpoints.restore(abstract_state())
        start = restored[0] if restored else initial_state()
        with MetricsWriter(self.folder / "metrics.jsonl", int(start.step)) as writer:
            return run_epochs(
                start,
                self.step_fn,
                self.schedule,
                parallel=self.parallel,
                write=writer.write,
                save=self.save,
                evaluate_fn=evaluate_fn,
                ends_early=ends_early,
                feed=feed,
                several=SeveralSteps(steps_per_call, self.several_steps)
                if steps_per_call > 1
                else None,
            )

    def save(self, state, epoch, metrics):
        self.checkpoints.save(state, epoch=epoch, metrics=metrics, provenance=ABOUT)

    def lines(self, kind):
        lines = map(json.loads, (self.folder / "metrics.jsonl").read_text().splitlines())
        return [line for line in lines if line["kind"] == kind]

    def saved_steps(self):
        folder = self.folder / "checkpoints"
        return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit())


def initial_state():
    return jax.device_put(
        TrainState(np.int32(0), np.float32(1), np.zeros(2, np.float32), {}, zero_sums())
    )


def abstract_state():
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), initial_state()
    )


def test_every_step_gets_the_batch_of_its_number(tmp_path):
    run = Run(tmp_path)
    state = run.go()
    assert run.schedule.num_steps == 12  # 5 epochs of 10 images in full batches of 4
    assert int(state.step) == 12
    expected = [(s + 1, tuple(batch_indices(10, 4, 0, s).tolist())) for s in range(12)]
    assert run.seen == expected


def test_several_steps_a_call_are_the_same_steps(tmp_path):
    settings = {"num_images": 14, "batch_size": 2, "log_every_steps": 3}
    for name in ("one", "several"):
        (tmp_path / name).mkdir()
    one, several = Run(tmp_path / "one", **settings), Run(tmp_path / "several", **settings)
    expected = one.go()
    state = several.go(steps_per_call=3)
    assert several.calls == [3] * 10  # epochs of 7 steps: two calls, and a step alone
    assert several.seen == one.seen
    assert int(state.step) == int(expected.step) == 35
    assert float(state.params) == float(expected.params)
    assert several.saved_steps() == one.saved_steps()
    for kind in ("train", "epoch"):
        lines, expected_lines = several.lines(kind), one.lines(kind)
        assert len(lines) == len(expected_lines) > 0
        for line, expected_line in zip(lines, expected_lines, strict=True):
            for name in ("step", "epoch", *METRICS):
                assert line[name] == expected_line[name]


def test_divergence_inside_a_call_names_its_step(tmp_path):
    run = Run(tmp_path, num_images=14, batch_size=2)
    run.nan_at = 5
    with pytest.raises(Diverged, match="step 5"):
        run.go(steps_per_call=3)


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_an_infinite_loss_is_divergence_too(tmp_path, bad):
    run = Run(tmp_path)
    run.nan_at, run.bad = 1, bad
    with pytest.raises(Diverged, match="step 1"):
        run.go()


def test_a_stop_saves_the_state_after_its_call(tmp_path):
    run = Run(tmp_path, num_images=14, batch_size=2)
    run.signal_at = 4
    with pytest.raises(Stopped):
        run.go(steps_per_call=3)
    assert run.saved_steps() == [6]


def test_a_feed_says_what_a_step_gets_and_how_long_it_is_waited_for(tmp_path):
    run = Run(tmp_path)

    def feed(step):
        time.sleep(0.02)
        return jax.device_put(np.array([step]))

    run.go(feed=feed)
    assert run.seen == [(step + 1, (step,)) for step in range(12)]
    waits = [line["data_wait"] for line in run.lines("epoch")]
    assert len(waits) == 5 and all(0.1 < wait < 1 for wait in waits)
    (tmp_path / "indices").mkdir()
    without = Run(tmp_path / "indices")
    without.go()
    assert not any("data_wait" in line for line in without.lines("epoch"))


def test_epoch_lines_are_means_over_the_epochs_own_steps(tmp_path):
    run = Run(tmp_path)
    run.go()
    ends = [2, 5, 7, 10, 12]  # floor(10 e / 4)
    lines = run.lines("epoch")
    assert [line["step"] for line in lines] == ends
    for line, first, end in zip(lines, [0, *ends], ends, strict=False):
        expected = np.mean([1 / step for step in range(first + 1, end + 1)])
        assert line["loss"] == pytest.approx(expected, rel=1e-5)


def test_train_lines_come_in_their_interval_and_at_the_end(tmp_path):
    run = Run(tmp_path, log_every_steps=5)
    run.go()
    assert [line["step"] for line in run.lines("train")] == [5, 10, 12]
    assert all(line["images_per_second"] > 0 for line in run.lines("train"))


def test_saves_when_due_and_always_at_the_end(tmp_path):
    run = Run(tmp_path)
    run.go()
    assert run.saved_steps() == [10, 12]  # of 5, 10, 12 the two latest; 12 is also the best


def test_the_last_epoch_may_be_shorter_than_a_batch(tmp_path):
    run = Run(tmp_path, epochs=3, num_images=3, batch_size=4, checkpoint_every_epochs=50)
    run.go()
    assert run.schedule.num_steps == 2
    assert run.saved_steps()[-1] == 2


def test_evaluation_is_written_and_saved_for_the_best(tmp_path):
    run = Run(tmp_path, evaluate_every_epochs=2)
    values = iter([0.5, 0.9, 0.7])
    run.go(lambda state: {"image_auroc": next(values)})
    assert [(e["step"], e["image_auroc"]) for e in run.lines("evaluation")] == [
        (5, 0.5),
        (10, 0.9),
        (12, 0.7),
    ]
    assert run.checkpoints.find().metrics["test_image_auroc"] == 0.7


@pytest.mark.parametrize("nan_at", [1, 6, 12])
def test_divergence_stops_and_keeps_the_last_good_checkpoint(tmp_path, nan_at):
    run = Run(tmp_path)
    run.nan_at = nan_at
    with pytest.raises(Diverged, match=f"not finite at step {nan_at}; lower train.learning_rate"):
        run.go()
    good = [step for step in (5, 10) if step < nan_at]
    assert (run.saved_steps() if good else []) == good
    saved = run.checkpoints.find()
    assert (saved.step if saved else None) == (good[-1] if good else None)


@pytest.mark.parametrize("signal_at", [1, 3, 5, 6, 11])
def test_sigterm_saves_and_the_same_command_goes_on(tmp_path, signal_at):
    whole = Run(tmp_path / "whole")
    whole.folder.mkdir()
    expected = whole.go()

    stopped = Run(tmp_path / "stopped")
    stopped.folder.mkdir()
    stopped.signal_at = signal_at
    with pytest.raises(Stopped, match="SIGTERM") as info:
        stopped.go()
    assert info.value.signal_number == signal.SIGTERM
    assert stopped.saved_steps()[-1] == signal_at

    again = Run(tmp_path / "stopped")
    state = again.go()
    assert float(state.params) == float(expected.params)
    assert stopped.seen + again.seen == whole.seen
    assert [
        {k: v for k, v in line.items() if k != "images_per_second"} for line in again.lines("epoch")
    ] == [
        {k: v for k, v in line.items() if k != "images_per_second"} for line in whole.lines("epoch")
    ]


def test_a_signal_at_the_very_end_is_a_finished_run(tmp_path):
    run = Run(tmp_path)
    run.signal_at = 12
    assert int(run.go().step) == 12
    assert run.saved_steps()[-1] == 12


def test_signals_act_as_before_once_the_loop_is_left(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    Run(tmp_path).go()
    assert signal.getsignal(signal.SIGTERM) is before


def test_more_epochs_go_on_from_the_end(tmp_path):
    Run(tmp_path, epochs=3).go()
    longer = Run(tmp_path, epochs=5)
    state = longer.go()
    other = tmp_path / "other"
    other.mkdir()
    assert float(state.params) == float(Run(other, epochs=5).go().params)
    assert longer.seen[0][0] == 8


def test_state_is_finite_when_saved(tmp_path):
    """Metrics are fetched before the save that follows them, not after."""
    run = Run(tmp_path, checkpoint_every_epochs=1)
    run.nan_at = 5  # the last step of the second epoch
    with pytest.raises(Diverged):
        run.go()
    assert run.saved_steps() == [2]
    assert jnp.isfinite(run.checkpoints.restore(abstract_state())[0].params)


def test_an_early_end_is_saved_and_returned_from(tmp_path):
    run = Run(tmp_path, epochs=9)
    asked = []

    def ends_early(epoch, metrics):
        asked.append((epoch, metrics["loss"]))
        return epoch == 3

    state = run.go(ends_early=ends_early)
    end = run.schedule.end_of(3)
    assert int(state.step) == end == run.saved_steps()[-1]
    assert asked == [(line["epoch"], line["loss"]) for line in run.lines("epoch")]


@pytest.mark.parametrize("steps_per_call", [1, 2])
def test_rows_are_the_only_images_that_are_trained_on(tmp_path, steps_per_call):
    run = Run(tmp_path, num_images=5)
    rows = (1, 4, 6, 7, 9)
    run.schedule = replace(run.schedule, rows=rows)
    run.go(steps_per_call=steps_per_call)
    expected = [
        tuple(np.take(rows, batch_indices(5, 4, 0, step))) for step in range(run.schedule.num_steps)
    ]
    assert [batch for _, batch in run.seen] == expected
