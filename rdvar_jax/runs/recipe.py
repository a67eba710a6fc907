"""Typed objects built from the settings: checked together, built once, passed down."""

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

from rdvar_jax.data.loading.arrays import TestSet, TrainSet, image_bytes, load_test, load_train
from rdvar_jax.data.loading.full_scale import decide_full_scale
from rdvar_jax.data.loading.tiles import common_size, count_inputs, cut_all
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.ignore_mask import IgnoreMask
from rdvar_jax.data.pixels.reading import as_reading
from rdvar_jax.data.sets.records import Category
from rdvar_jax.devices.parallel import AXIS_NAME, Parallel
from rdvar_jax.devices.processes import is_main_process
from rdvar_jax.errors import ConfigError, DataError
from rdvar_jax.models.build import build_teacher, image_shape, student_shapes
from rdvar_jax.models.image_size import height_width
from rdvar_jax.models.initialise import abstract_variables
from rdvar_jax.models.methods import get_method
from rdvar_jax.models.precision import compute_dtype
from rdvar_jax.models.reverse_distillation import ReverseDistillation
from rdvar_jax.models.student import StudentNetwork
from rdvar_jax.models.teacher import Teacher
from rdvar_jax.runs.checks import (
    check_evaluation,
    check_fit,
    check_import,
    check_prediction,
    check_training,
)
from rdvar_jax.runs.config import Config, flatten, stages, with_full_scale
from rdvar_jax.runs.data_checks import steps_problems
from rdvar_jax.runs.ignore_file import nothing_left, read_ignore
from rdvar_jax.scoring.all_metrics import without_ignored
from rdvar_jax.training.fit import Computation
from rdvar_jax.training.loop import Schedule
from rdvar_jax.training.losses import RDVarLoss
from rdvar_jax.training.placement import choose_placement
from rdvar_jax.training.step import Optimiser, TrainState, build_optimiser, init_state
from rdvar_jax.weights.architectures import Architecture, get_architecture

# Paths, which may differ between processes; their contents are compared instead.
_OWN_PATHS = ("data.root", "teacher.weights", "score.ignore")


@dataclass(frozen=True, eq=False)
class Recipe:
    """Objects of a command: networks, loss, optimiser, geometry, devices, data.

    Attributes:
        config: the settings that they are built from.
        parallel: the devices.
        category: the set that the settings name; None if a command needs none.
    """

    config: Config
    parallel: Parallel
    category: Category | None = None

    @classmethod
    def for_training(cls, config: Config, devices: Sequence[Any]) -> "Recipe":
        """Checks the settings that training depends on; `devices` are those of all processes.

        `data.full_scale=auto` is decided here, and a number in the recipe's config.

        Raises:
            ConfigError: one sentence for each setting that cannot be used, with the fix.
        """
        category = check_training(config, jax.local_device_count(), jax.process_count())
        data = config.data
        full_scale = decide_full_scale(
            data.full_scale, category.train, data.max_pixels, progress=is_main_process()
        )
        config = with_full_scale(config, full_scale)
        return cls(config, _parallel(config, devices), category)

    @classmethod
    def for_fit(cls, config: Config, devices: tuple[Any, ...]) -> "Recipe":
        """Checks the settings of `fit`, without a data set; see `for_training`."""
        check_fit(config, len(devices))
        return cls(config, Parallel(config.parallel.mode, devices))

    @classmethod
    def for_evaluation(cls, config: Config) -> "Recipe":
        """Checks the settings for scoring a test set; see `for_training`."""
        devices = jax.local_devices()
        return cls(config, _parallel(config, devices), check_evaluation(config, len(devices)))

    @classmethod
    def for_prediction(cls, config: Config) -> "Recipe":
        """Checks the settings for scoring any images; see `for_training`."""
        devices = jax.local_devices()
        check_prediction(config, len(devices))
        return cls(config, _parallel(config, devices))

    @classmethod
    def for_import(cls, config: Config) -> "Recipe":
        """Checks the settings of an imported run; see `for_training`."""
        devices = jax.local_devices()
        check_import(config, len(devices))
        return cls(config, _parallel(config, devices))

    @cached_property
    def architecture(self) -> Architecture:
        return get_architecture(self.config.teacher.arch)

    @property
    def stem_width(self) -> int:
        return self.config.teacher.stem_width

    @cached_property
    def teacher(self) -> Teacher:
        return build_teacher(self.architecture, self.stem_width)

    @property
    def method(self) -> type[ReverseDistillation]:
        return get_method(self.config.model.name)

    @cached_property
    def student(self) -> StudentNetwork:
        return self.method.network(self.architecture, self.stem_width, AXIS_NAME)

    @cached_property
    def loss(self) -> RDVarLoss:
        names = [field.name for field in dataclasses.fields(RDVarLoss)]
        values = {name: self.config.loss[name] for name in names}
        return RDVarLoss(**{**values, "stages": stages(self.config)})

    @cached_property
    def tx(self) -> Optimiser:
        train = self.config.train
        return build_optimiser(
            *(train.learning_rate, train.beta1, train.beta2),
            name=train.optimiser,
            weight_decay=train.weight_decay,
        )

    @property
    def abstract_teacher(self) -> dict[str, Any]:
        """Shapes and dtypes of the teacher's variables."""
        return abstract_variables(self.teacher, image_shape(self.config.data.image_size))

    @property
    def abstract_student(self) -> dict[str, Any]:
        """Shapes and dtypes of the student's variables."""
        shapes = student_shapes(self.student, self.config.data.image_size)
        return abstract_variables(self.student, shapes, train=False)

    @property
    def abstract_state(self) -> TrainState:
        """Shapes, dtypes and shardings of the run's state, without computing it."""
        state = jax.eval_shape(lambda v: init_state(v, self.tx), self.abstract_student)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.parallel.replicated),
            state,
        )

    @cached_property
    def geometry(self) -> Geometry:
        """Mapping from images to network inputs, and from maps back to images."""
        data = self.config.data
        reading = as_reading(data.full_scale, data.max_pixels)
        return Geometry(data.geometry, *height_width(data.image_size), data.tile_overlap, reading)

    @cached_property
    def decode_geometry(self) -> Geometry:
        """Geometry for decoding the set: tiled images keep their size, which all share.

        Raises:
            DataError: no image can be read, or they are smaller than a tile.
        """
        if not self.geometry.is_tiled or self.category is None:
            return self.geometry
        return common_size((*self.category.train, *self.category.test), self.geometry)

    @cached_property
    def ignore(self) -> IgnoreMask | None:
        """Pixels that never count, at their picture's size; None without `score.ignore`.

        Raises:
            UserError: the picture cannot be used; see `read_ignore`.
        """
        return read_ignore(self.config.score.ignore)

    @cached_property
    def ignored(self) -> np.ndarray | None:
        """Pixels of the set's maps that never count, bool [H, W]; None if all count.

        Raises:
            UserError: the picture cannot be used, or leaves no pixel of the maps.
        """
        if self.ignore is None:
            return None
        geometry = self.decode_geometry
        ignored = self.ignore.on_map(geometry, (geometry.width, geometry.height))
        if ignored.all():
            raise nothing_left(self.config.score.ignore)
        return ignored

    @property
    def ignored_in_inputs(self) -> np.ndarray | None:
        """The same of the networks' inputs; None for tiles, of which whole images are ignored."""
        return None if self.geometry.is_tiled else self.ignored

    @property
    def memory_budget(self) -> float:
        """Bytes of decoded images that are held in memory at most."""
        return self.config.data.memory_budget_gb * 1e9

    @property
    def num_inputs(self) -> int:
        """Number of training images, or of their tiles, before any is skipped."""
        assert self.category is not None
        return count_inputs(self.category.train, self.geometry)

    def computation(self, num_images: int, student: StudentNetwork | None = None) -> Computation:
        """Decides where and how training is computed, and logs what is kept where.

        Args:
            num_images: of the training set.
            student: of a model in memory; None for the settings' own.

        Raises:
            ConfigError: `train.cache_features=on`, and the features do not fit.
        """
        config, train = self.config, self.config.train
        num_pixels = self.geometry.height * self.geometry.width
        values = self.architecture.num_features(self.stem_width, num_pixels)
        dtype = compute_dtype(config.compute.precision)
        decoded = image_bytes(num_images, self.geometry)
        features = num_images * values * np.dtype(dtype).itemsize
        if (student or self.student).sees_images:  # then the images are kept beside the features
            features += decoded
        placement = choose_placement(
            decoded,
            features,
            memory_budget_gb=config.data.memory_budget_gb,
            cache_features=train.cache_features,
            cache_budget_gb=train.cache_budget_gb,
        )
        return Computation(
            self.parallel,
            placement,
            config.compute.precision,
            train.steps_per_call,
            self.memory_budget,
            config.data.num_workers,
        )

    def schedule(self, num_images: int) -> Schedule:
        """Makes the schedule for this many training images.

        Raises:
            ConfigError: they do not fill a batch.
        """
        for problem in steps_problems(self.config, num_images):  # some may have been skipped
            raise ConfigError(problem)
        train = self.config.train
        return Schedule(
            num_images=num_images,
            batch_size=train.batch_size,
            epochs=train.epochs,
            seed=train.seed,
            log_every_steps=train.log_every_steps,
            checkpoint_every_epochs=train.checkpoint_every_epochs,
            evaluate_every_epochs=train.evaluate_every_epochs,
        )

    def load_train(self, in_memory: bool) -> TrainSet:
        """Decodes the training images, or leaves them on disk; cuts them if they are tiled.

        Raises:
            DataError: an image cannot be read.
        """
        assert self.category is not None
        train_set = load_train(
            self.category,
            self.decode_geometry,
            memory_budget=math.inf if in_memory else 0,
            progress=is_main_process(),
            allow_mixed_sizes=self.config.data.allow_mixed_sizes,
            on_error=self.config.data.on_error,
        )
        if not self.geometry.is_tiled:
            return train_set
        return dataclasses.replace(train_set, images=cut_all(train_set.images, self.geometry))

    def load_test(self) -> TestSet:
        """Decodes test images and masks, which mark nothing where pixels are ignored.

        Raises:
            DataError: the set has none, or one cannot be read.
        """
        category, data = self.category, self.config.data
        assert category is not None
        if not category.test and data.good:
            raise DataError(
                "There are no images to test with; give known defects, as in rdvar train PHOTOS "
                "--bad DEFECTS, or train with train.folds=3."
            )
        if not category.test:
            raise DataError(
                f"{category.folder} has no test images; add some to "
                f"{category.folder / 'test'}, or score images with rdvar predict."
            )
        test_set = load_test(
            category,
            self.decode_geometry,
            threshold=data.mask_threshold,
            orientation=data.mask_orientation,
            memory_budget=self.memory_budget,
            allow_mixed_sizes=data.allow_mixed_sizes,
            on_error=data.on_error,
        )
        masks, valid_mask = without_ignored(test_set.masks, test_set.valid_mask, self.ignored)
        test_set = dataclasses.replace(test_set, masks=masks, valid_mask=valid_mask)
        test_set.warn_undefined(category.name)
        return test_set

    def shared_settings(self) -> str:
        """Settings that must be equal in all processes of a job, as text."""
        settings = {
            name: value
            for name, value in flatten(self.config).items()
            if name not in _OWN_PATHS and not name.startswith("distributed.")
        }
        return json.dumps(settings, sort_keys=True)


def _parallel(config: Config, devices: Sequence[Any]) -> Parallel:
    number = config.parallel.num_devices or len(devices)
    return Parallel(config.parallel.mode, tuple(devices[:number]))
