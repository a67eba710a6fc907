"""Plan of a training on photographs: network, size, epochs and minutes, from a timed probe.

One convolution, timed, tells roughly what a step of each network at each size costs; this chooses
them. Then steps of the chosen one are timed, which decides the number of epochs. If not even few
epochs fit into the minutes then, a smaller one is chosen.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rdvar_jax.commands.planning.probe import probe_speed, probe_step
from rdvar_jax.data.pixels.aspect import nearest_size
from rdvar_jax.errors import ConfigError
from rdvar_jax.models.image_size import height_width
from rdvar_jax.runs.config import RANDOM_WEIGHTS, Config
from rdvar_jax.weights.architectures import architecture_of_shapes
from rdvar_jax.weights.catalogue import fetch, weights_at_hand
from rdvar_jax.weights.procedural import ARCH, PROCEDURAL, STEM_WIDTH
from rdvar_jax.weights.weight_file import read_weights

# Operations (10^6) of a step per pixel of its images, at the speed of the probe's convolution and
# with the teacher's features kept; measured at 96 to 256 px on CPU.
STEP_MEGAFLOPS = {"resnet18": 0.4, "wide_resnet50_2": 2.4}
# From little to much computing: the backbone, and the side of a square of as many pixels.
CANDIDATES = (
    *(("resnet18", side) for side in (96, 128, 160, 192, 224, 256)),
    *(("wide_resnet50_2", side) for side in (256, 320, 384, 512)),
)
# A choice must leave time for so many, or a smaller one is taken. 200 epochs are RD4AD's.
MIN_STEPS, MIN_EPOCHS, MAX_EPOCHS = 300, 10, 200
# A plan for more than so many times the minutes is made again, if something smaller is left.
TOLERATED = 1.1

BATCH_SIZE = 8
NUM_FOLDS = 3
# With so many photographs, a fifth is held out for the threshold instead of trained on by turns.
MANY, HELD_OUT = 500, 0.2
LEVEL_OFF = 0.01

# Seconds of everything but steps: start, scoring programs, figures, page.
OVERHEAD = 30.0
# Scoring of an image in parts of its share of a step.
SCORE_COST = 0.7


@dataclass(frozen=True)
class Choice:
    """Network and input size.

    Attributes:
        arch: the backbone.
        size: height and width.
    """

    arch: str
    size: tuple[int, int]

    @property
    def operations(self) -> float:
        """Operations (10^6) of a step, for each image; an estimate."""
        megaflops = STEP_MEGAFLOPS.get(self.arch, max(STEP_MEGAFLOPS.values()))
        return megaflops * self.size[0] * self.size[1]

    def step_seconds(self, batch_size: int, speed: float) -> float:
        """Estimates the time of a step; `speed` is that of `probe_speed`."""
        return self.operations * batch_size / speed

    def __str__(self) -> str:
        names = {"resnet18": "ResNet-18", "wide_resnet50_2": "WideResNet50"}
        return f"{names.get(self.arch, self.arch)}, {self.size[1]}x{self.size[0]} px"


@dataclass(frozen=True)
class Photographs:
    """What a plan depends on.

    Attributes:
        number: good images.
        num_bad: known defects.
        size_wh: width and height of most of them.
    """

    number: int
    num_bad: int
    size_wh: tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """All that was decided.

    Attributes:
        config: the settings.
        choice: network and size.
        minutes: expected for the whole command.
        parts: of these minutes, for the final training, the folds, and all else.
        more: what four times the minutes would give, and these; None if the same.
    """

    config: Config
    choice: Choice
    minutes: float
    parts: tuple[float, float, float]
    more: tuple[float, Choice] | None

    def lines(self) -> list[str]:
        """Returns the plan in words."""
        train, data = self.config.train, self.config.data
        threshold = f"{train.folds} folds" if train.folds else "no folds"
        if data.validation:
            threshold = f"{data.validation:.0%} held out"
        more = ""
        if self.more is not None:
            more = f"; --minutes {self.more[0]:g} gives {self.more[1]}"
        parts = "{:.1f} to train, {:.1f} for the folds, {:.1f} for the rest".format(*self.parts)
        return [
            f"plan: {self.choice}, {train.epochs} epochs, {threshold}, about {self.minutes:.0f} "
            f"minutes on this machine ({parts}){more}"
        ]


def make_plan(
    config: Config, photographs: Photographs, minutes: float, given: Collection[str], started: float
) -> Plan:
    """Decides the settings that are not given.

    Args:
        config: the settings, with the photographs.
        photographs: what is known of them.
        minutes: that the whole command may take.
        given: names of settings that stay as they are.
        started: `time.perf_counter()` at the start of the command.

    Raises:
        UserError: settings, images or weights cannot be used.
    """
    config = config.copy_and_resolve_references()
    _decide(config, given, "train.batch_size", BATCH_SIZE)
    _decide(config, given, "train.level_off", LEVEL_OFF)
    if photographs.number >= MANY:
        _decide(config, given, "data.validation", HELD_OUT)
    elif not config.data.validation:
        _decide(config, given, "train.folds", NUM_FOLDS)
    archs = _possible_archs(config, given)
    speed = probe_speed()
    choice = choose(config, photographs, minutes, archs, speed, given)
    while True:
        config = _with_choice(config, choice, given)
        step_seconds = probe_step(config)
        parts = _fill(config, photographs, minutes, given, started, step_seconds)
        if sum(parts) <= TOLERATED * minutes:
            break
        # The network is slower here, or the machine busier, than the convolution said.
        speed *= choice.step_seconds(config.train.batch_size, speed) / step_seconds
        smaller = choose(config, photographs, minutes, archs, speed, given)
        if smaller.operations >= choice.operations:
            break
        choice = smaller
    bigger = choose(config, photographs, 4 * minutes, archs, speed, given)
    more = None if bigger == choice else (4 * minutes, bigger)
    return Plan(config, choice, sum(parts), parts, more)


def _with_choice(config: Config, choice: Choice, given: Collection[str]) -> Config:
    """Returns the settings with a network and size, and epochs for the probe."""
    config = config.copy_and_resolve_references()
    _decide(config, given, "teacher.arch", choice.arch)
    height, width = choice.size
    with config.data.ignore_type():
        size = height if height == width else (height, width)
        _decide(config, given, "data.image_size", size)
    _decide(config, given, "train.epochs", MAX_EPOCHS)  # the number must fill a batch
    return config


def _fill(
    config: Config,
    photographs: Photographs,
    minutes: float,
    given: Collection[str],
    started: float,
    step_seconds: float,
) -> tuple[float, float, float]:
    """Decides the epochs that fill the minutes, and returns `Plan.parts`."""
    left = 60 * minutes - (time.perf_counter() - started)
    epoch = num_trained(config, photographs) / config.train.batch_size * step_seconds
    other = _other_seconds(config, photographs, step_seconds)
    trainings = num_trainings(config)
    epochs = int(np.clip((left - other) / (trainings * epoch), MIN_EPOCHS, MAX_EPOCHS))
    _decide(config, given, "train.epochs", epochs)
    _decide(config, given, "train.checkpoint_every_epochs", max(1, config.train.epochs // 5))
    training = epoch * config.train.epochs
    rest = time.perf_counter() - started + other
    return training / 60, (trainings - 1) * training / 60, rest / 60


def choose(
    config: Config,
    photographs: Photographs,
    minutes: float,
    archs: Sequence[str],
    speed: float,
    given: Collection[str],
) -> Choice:
    """Chooses the largest network and size that leave time for enough steps, else the smallest.

    Args:
        config: the settings; those that are given restrict the choice.
        photographs: their size is not exceeded.
        minutes: that the whole command may take.
        archs: backbones whose weights are at hand.
        speed: of `probe_speed`.
        given: names of settings that stay as they are.
    """
    width, height = photographs.size_wh
    found = []
    candidates = [(arch, side) for arch, side in CANDIDATES if arch in archs]
    if not candidates:  # a backbone that is given
        candidates = [(archs[0], side) for _, side in CANDIDATES]
    for arch, side in candidates:
        if side**2 <= 1.1 * width * height or not found:
            size = nearest_size(width / height, side**2)
            if "data.image_size" in given:
                size = height_width(config.data.image_size)
            found.append(Choice(arch, size))
    steps = max(MIN_STEPS, MIN_EPOCHS * num_trained(config, photographs) / config.train.batch_size)
    best = found[0]
    for choice in found:
        step = choice.step_seconds(config.train.batch_size, speed)
        other = _other_seconds(config, photographs, step)
        if num_trainings(config) * steps * step + other <= 60 * minutes:
            best = choice
    return best


def num_trained(config: Config, photographs: Photographs) -> int:
    """Returns the number of photographs that training uses."""
    return max(1, round(photographs.number * (1 - config.data.validation)))


def num_trainings(config: Config) -> float:
    """Returns the cost of all trainings in final ones.

    For each of K folds one of 1 - 1/K of the images, and for one as large a share of these.
    """
    folds = config.train.folds
    share = 1 - 1 / max(1, folds)
    return 1 + folds * share + share**2


def _other_seconds(config: Config, photographs: Photographs, step_seconds: float) -> float:
    """Estimates the time of everything but the steps."""
    scored = (3 + config.train.folds) * photographs.number + photographs.num_bad
    return OVERHEAD + SCORE_COST * step_seconds / config.train.batch_size * scored


def _possible_archs(config: Config, given: Collection[str]) -> list[str]:
    """Returns the backbones whose weights can be used, smallest first.

    Raises:
        WeightsError: there are none, and they cannot be downloaded.
        ConfigError: `teacher.weights` fits no backbone alone.
    """
    weights = config.teacher.weights
    if weights == PROCEDURAL:
        _decide(config, given, "teacher.stem_width", STEM_WIDTH)
        return [ARCH]
    if "teacher.arch" in given:
        return [config.teacher.arch]
    if weights == RANDOM_WEIGHTS:
        return ["resnet18"]
    if weights:
        tensors, _ = read_weights(Path(weights))
        found = architecture_of_shapes({name: x.shape for name, x in tensors.items()})
        if found is None:
            raise ConfigError(
                f"teacher.weights={weights} fits no backbone alone; name one with teacher.arch."
            )
        return [found]
    at_hand = [arch for arch in STEP_MEGAFLOPS if weights_at_hand(arch) is not None]
    if not at_hand:
        fetch("resnet18")  # downloads it, or says what to do, before time is spent on a plan
    return at_hand or ["resnet18"]


def _decide(config: Config, given: Collection[str], name: str, value: object) -> None:
    if name not in given:
        section, _, key = name.partition(".")
        config[section][key] = value
