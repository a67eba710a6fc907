"""The training loop.

Resuming relies on the order of events in an epoch:

1. before its first step its sums are set to zero;
2. each step uses the batch that `batch_indices` returns for its number;
3. at the end all metrics are fetched and checked to be finite;
4. the test set is scored, if due;
5. metrics are written;
6. the state is saved, if due, and only after the check in 3.

Stop requests are checked after each step, or each call of several steps, and save the state at
that point. With several processes all run this loop; the main one scores, writes and saves while
the others wait.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jax
import numpy as np
from tqdm import tqdm

from rdvar_jax.data.loading.sampling_order import batch_indices, steps_at_epoch
from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.devices.processes import barrier, is_main_process
from rdvar_jax.errors import UserError
from rdvar_jax.training.data_wait import DataWait
from rdvar_jax.training.step import TrainState, zero_sums
from rdvar_jax.training.stop import Stopped, StopRequest

logger = logging.getLogger("rdvar_jax")

# (kind, step, values), and (state, epoch, metrics of that epoch).
Write: TypeAlias = Callable[[str, int, dict[str, Any]], None]
Save: TypeAlias = Callable[[TrainState, float, dict[str, float]], None]
# (epoch, its metrics) -> whether training ends here.
EndsEarly: TypeAlias = Callable[[int, dict[str, float]], bool]

# Steps queued on the device before the host waits for the oldest of them: enough to keep the
# device busy, few enough for an accurate rate and progress bar and a prompt Ctrl-C.
MAX_STEPS_IN_FLIGHT = 2

# Between log lines where there is no terminal for a progress bar.
SECONDS_A_LINE = 10


def _write_nothing(kind: str, step: int, values: dict[str, Any]) -> None:
    """Drops the metrics."""


class Diverged(UserError):
    """A loss or a gradient is not finite."""


@dataclass(frozen=True)
class Schedule:
    """Epochs, batches and intervals of a training.

    Attributes:
        num_images: N, the size of the training set, or of `rows`.
        batch_size: B, the global batch.
        epochs: passes over the training set.
        seed: of the order of the images.
        log_every_steps: steps between lines of metrics.
        checkpoint_every_epochs: epochs between checkpoints; the last epoch is always saved.
        evaluate_every_epochs: epochs between evaluations on the test set, 0 for none.
        rows: indices of the images that are trained on; None: all.
    """

    num_images: int
    batch_size: int
    epochs: int
    seed: int
    log_every_steps: int
    checkpoint_every_epochs: int
    evaluate_every_epochs: int
    rows: tuple[int, ...] | None = None

    @property
    def num_steps(self) -> int:
        return self.end_of(self.epochs)

    def end_of(self, epoch: int) -> int:
        """Returns the number of steps in the first `epoch` epochs."""
        return steps_at_epoch(self.num_images, self.batch_size, epoch)

    def is_due(self, every_epochs: int, epoch: int) -> bool:
        # With few images an epoch can be shorter than a batch and have no step: compare steps.
        is_last = self.end_of(epoch) == self.num_steps
        return every_epochs > 0 and (epoch % every_epochs == 0 or is_last)


@dataclass(frozen=True)
class SeveralSteps:
    """K = `count` steps in one call.

    `fn` is (state, indices [B, K], sharded over the devices) -> (state, metrics [K]).
    """

    count: int
    fn: Callable[[TrainState, jax.Array], tuple[TrainState, dict[str, jax.Array]]]


def run_epochs(
    state: TrainState,
    step_fn: Callable[[TrainState, jax.Array], tuple[TrainState, dict[str, jax.Array]]],
    schedule: Schedule,
    *,
    parallel: Parallel,
    write: Write = _write_nothing,
    save: Save | None = None,
    evaluate_fn: Callable[[TrainState], dict[str, float]] | None = None,
    ends_early: EndsEarly | None = None,
    feed: Callable[[int], jax.Array] | None = None,
    several: SeveralSteps | None = None,
    progress: bool = True,
    description: str = "training",
) -> TrainState:
    """Trains from `state` to the end of the schedule.

    Args:
        state: replicated, at any step; donated to the first step.
        step_fn: (state, batch of `feed`) -> (state, metrics).
        schedule: epochs, batch size and intervals.
        parallel: puts indices on the devices.
        write: receives the metrics of the kinds "train" (mean of a few steps), "epoch" and
          "evaluation", with their step.
        save: receives the state, the epoch and its metrics. Without it a stop would lose the state,
          so SIGINT and SIGTERM keep their usual effect.
        evaluate_fn: metrics on the test set, for the best checkpoint and for curves; those of the
          main process are used.
        ends_early: called after each epoch; true makes it the last one, which is saved.
        feed: returns a step's batch on the devices; the time spent waiting for it is logged. By
          default a batch is the indices of its images, sharded over the devices.
        several: replaces `step_fn` while an epoch has that many steps left; not with `feed`.
        progress: show a progress bar, and log lines where there is no terminal.
        description: of the bar and the lines.

    Returns:
        The state after the last step, saved if `save` is given.

    Raises:
        Diverged: a metric is not finite; the last good checkpoint is kept.
        Stopped: after SIGINT or SIGTERM; the state is saved.
        CheckpointError: the checkpoint cannot be written.
    """
    step = int(state.step)
    with (
        StopRequest(
            parallel.make_max() if parallel.spans_processes else None, enabled=save is not None
        ) as stop,
        tqdm(
            total=schedule.num_steps,
            initial=step,
            desc=description,
            unit="step",
            disable=None if progress and is_main_process() else True,
        ) as bar,
    ):
        wait = DataWait()
        log = _StepLog(schedule, write, bar, wait if feed else None, description)
        next_batch = feed or _make_index_feed(schedule, parallel)
        for epoch in range(1, schedule.epochs + 1):
            first, end = schedule.end_of(epoch - 1), schedule.end_of(epoch)
            if step >= end:
                continue
            if step == first:
                state = replace(state, epoch_sums=parallel.replicate(_zero_sums(state)))
            wait.start()
            while step < end:
                with jax.transfer_guard("disallow"):
                    if several is not None and end - step >= several.count:
                        indices = _indices_of(schedule, step, several.count)
                        state, metrics = several.fn(state, parallel.shard_batch(indices))
                        step += several.count
                    else:
                        with wait.waiting():
                            batch = next_batch(step)
                        state, metrics = step_fn(state, batch)
                        step += 1
                log.add(step, metrics)
                stop.poll()
                if save is not None and stop.signal_number is not None and step < end:
                    log.flush()
                    save(state, step * schedule.batch_size / schedule.num_images, {})
                    raise Stopped(stop.signal_number, step)
            log.flush()
            epoch_metrics = _epoch_means(state)
            waited = {} if feed is None else {"data_wait": wait.share()}
            write("epoch", step, {"epoch": epoch, **epoch_metrics, **waited})
            saved_metrics = {f"train_{name}": value for name, value in epoch_metrics.items()}
            evaluate_now = schedule.is_due(schedule.evaluate_every_epochs, epoch)
            if evaluate_fn is not None and evaluate_now:
                results = evaluate_fn(state)
                write("evaluation", step, {"epoch": epoch, **results})
                saved_metrics |= {f"test_{name}": value for name, value in results.items()}
                barrier("evaluated")
                log.restart_clock()
            stopping = stop.signal_number is not None
            is_last = step == schedule.num_steps
            if not is_last and ends_early is not None and ends_early(epoch, epoch_metrics):
                is_last = stopping = True
            save_now = schedule.is_due(schedule.checkpoint_every_epochs, epoch) or evaluate_now
            if save is not None and (save_now or stopping):
                save(state, epoch, saved_metrics)
                log.restart_clock()
            if is_last:
                break
            if stop.signal_number is not None:
                raise Stopped(stop.signal_number, step)
    return state


def _zero_sums(state: TrainState) -> dict[str, jax.Array]:
    return zero_sums(name for name in state.epoch_sums if name != "count")


def _make_index_feed(schedule: Schedule, parallel: Parallel) -> Callable[[int], jax.Array]:
    return lambda step: parallel.shard_batch(_indices_of(schedule, step, 1)[:, 0])


def _indices_of(schedule: Schedule, step: int, count: int) -> np.ndarray:
    """Returns the image indices of `count` consecutive steps, int32 [B, count]."""
    settings = (schedule.num_images, schedule.batch_size, schedule.seed)
    found = np.stack([batch_indices(*settings, step + i) for i in range(count)], axis=1)
    return found if schedule.rows is None else np.asarray(schedule.rows, np.int32)[found]


def _epoch_means(state: TrainState) -> dict[str, float]:
    sums = {name: float(value) for name, value in jax.device_get(state.epoch_sums).items()}
    return {name: total / sums["count"] for name, total in sums.items() if name != "count"}


class _StepLog:
    """Fetches the metrics of completed steps, checks them and writes their means."""

    def __init__(
        self,
        schedule: Schedule,
        write: Write,
        bar: tqdm,
        wait: DataWait | None,
        description: str,
    ):
        self._schedule = schedule
        self._description = description
        self._write = write
        self._bar = bar
        self._wait = wait
        self._in_flight: deque[tuple[int, dict[str, jax.Array]]] = deque()
        self._window: list[dict[str, float]] = []
        self._has_run = False
        self._line_time = time.perf_counter()
        self.restart_clock()

    def add(self, step: int, metrics: dict[str, jax.Array]) -> None:
        self._in_flight.append((step, metrics))
        if len(self._in_flight) > MAX_STEPS_IN_FLIGHT:
            self._fetch()

    def flush(self) -> None:
        """Fetches all metrics in flight; afterwards the state is known to be finite."""
        while self._in_flight:
            self._fetch()

    def restart_clock(self) -> None:
        """Excludes the time so far from the rate."""
        self._clock_start = time.perf_counter()
        self._clock_steps = 0

    def _fetch(self) -> None:
        last, metrics = self._in_flight.popleft()
        columns = {name: np.atleast_1d(value) for name, value in jax.device_get(metrics).items()}
        for i in reversed(range(len(columns["loss"]))):
            self._take(last - i, {name: float(column[-1 - i]) for name, column in columns.items()})
        self._has_run = True

    def _take(self, step: int, values: dict[str, float]) -> None:
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise Diverged(
                f"training diverged: {', '.join(bad)} not finite at step {step}; lower "
                "train.learning_rate or check for images of a single colour (the last good "
                "checkpoint is kept)."
            )
        self._window.append(values)
        self._clock_steps += 1
        self._bar.update()
        if not self._has_run:
            self.restart_clock()  # the first call includes compilation
        if step % self._schedule.log_every_steps == 0 or step == self._schedule.num_steps:
            self._write_line(step)

    def _write_line(self, step: int) -> None:
        now = time.perf_counter()
        images = self._clock_steps * self._schedule.batch_size
        means = {name: float(np.mean([v[name] for v in self._window])) for name in self._window[0]}
        rate = images / max(now - self._clock_start, 1e-9)
        epoch = step * self._schedule.batch_size / self._schedule.num_images
        self._write("train", step, {"epoch": epoch, **means, "images_per_second": rate})
        waited = "" if self._wait is None else f", waiting for data {self._wait.share():.0%}"
        names = [name for name in means if name not in ("loss", "grad_norm")]
        shown = " ".join(f"{name.removeprefix('loss_')}={means[name]:.4f}" for name in names)
        self._bar.set_postfix_str(f"loss={means['loss']:.4f} {shown} {rate:.1f} img/s{waited}")
        # Without a terminal log lines replace the bar.
        if self._bar.disable and now - self._line_time > SECONDS_A_LINE:
            logger.info(
                "%s: step %d/%d loss %.4f (%s), %.1f images/s%s",
                self._description,
                step,
                self._schedule.num_steps,
                means["loss"],
                shown,
                rate,
                waited,
            )
            self._line_time = now
        self._window = []
        self.restart_clock()
