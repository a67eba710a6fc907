"""Faults in how files become images, masks, labels and batches."""

from faults.fault import Fault

DECODE = "tests/data/pixels/test_decode"
GEOMETRY = "tests/data/pixels/test_geometry.py"
ORDER = "tests/data/loading/test_sampling_order.py"
COPIES = "tests/data/loading/test_copies.py"
ARRAYS = "tests/data/loading/test_arrays.py"

LEVELS = "tests/data/pixels/test_levels.py"

FAULTS = (
    Fault(
        "images on disk and in memory read with the type's own full scale",
        "rdvar_jax/data/pixels/decode.py",
        'image, levels = read_8_bit(image, path, "RGB", geometry.reading)',
        'image, levels = read_8_bit(image, path, "RGB")',
        (LEVELS,),
    ),
    Fault(
        "values above the full scale wrap around",
        "rdvar_jax/data/pixels/levels.py",
        "strip = np.minimum(values[top : top + rows].astype(np.int64), full_scale)",
        "strip = values[top : top + rows].astype(np.int64)",
        (f"{LEVELS}::test_values_above_the_full_scale_are_white",),
    ),
    Fault(
        "auto decides again for images to score",
        "rdvar_jax/runs/config.py",
        "config.data.full_scale = full_scale",
        'config.data.full_scale = "type"',
        ("tests/runs/test_config.py::test_auto_gives_way_to_the_number_of_the_run",),
    ),
    Fault(
        "masks cut at 0.4",
        "rdvar_jax/data/pixels/mask_rule.py",
        "HALF = 128",
        "HALF = 103",
        (f"{DECODE}_masks.py::test_thresholds",),
    ),
    Fault(
        "masks inverted",
        "rdvar_jax/data/pixels/decode.py",
        "geometry.apply_mask(mask) > mask_limit(threshold)",
        "geometry.apply_mask(mask) <= mask_limit(threshold)",
        (f"{DECODE}_masks.py::test_thresholds",),
    ),
    Fault(
        "a class under half lost with auto",
        "rdvar_jax/data/loading/mask_survey.py",
        "survey.highest < HALF or survey.has_classes",
        "survey.highest < HALF",
        ("tests/data/loading/test_mask_survey.py",),
    ),
    Fault(
        "noise of a JPEG taken for a class",
        "rdvar_jax/data/loading/mask_survey.py",
        "& ~_near(values >= self.lowest)",
        "",
        ("tests/data/loading/test_mask_survey.py",),
    ),
    Fault(
        "sideways grey TIFF mapped into memory",
        "rdvar_jax/data/pixels/image_file.py",
        'image.filename = ""',
        "pass",
        (f"{DECODE}_orientation.py::test_orientation_of_uncompressed_grey_tiff",),
    ),
    Fault(
        "images decoded as BGR",
        "rdvar_jax/data/pixels/geometry.py",
        "return self._apply(image, _MEAN_COLOUR)",
        "return self._apply(image, _MEAN_COLOUR)[..., ::-1]",
        (f"{DECODE}_formats.py::test_pixels_of_every_lossless_format",),
    ),
    Fault(
        "images resized to the nearest pixel",
        "rdvar_jax/data/pixels/geometry.py",
        "image.resize(target.size_wh, Image.Resampling.BILINEAR, box=high)",
        "image.resize(target.size_wh, Image.Resampling.NEAREST, box=high)",
        (GEOMETRY,),
    ),
    Fault(
        "crop from the corner instead of the middle",
        "rdvar_jax/data/pixels/geometry.py",
        "(outer_wh[0] - width) // 2, (outer_wh[1] - height) // 2",
        "0, 0",
        (GEOMETRY,),
    ),
    Fault(
        "padded border taken for a part of the image",
        "rdvar_jax/data/pixels/geometry.py",
        "valid_mask[self.boxes(size_wh)[1].slices] = True",
        "valid_mask[:] = True",
        (f"{ARRAYS}::test_a_border_is_known",),
    ),
    Fault(
        "a like part taken for a copy of a training image",
        "rdvar_jax/data/loading/copies.py",
        "common = (bits.sum(axis=0) - bits) / (number - 1)",
        "common = np.full_like(bits, 0.5)",
        (f"{COPIES}::test_other_parts_in_the_same_place_are_not_copies",),
    ),
    Fault(
        "label from the mask instead of the folder",
        "rdvar_jax/data/sets/layouts/by_defect.py",
        "int(defect != GOOD)",
        "int(mask is not None)",
        ("tests/data/sets/test_layouts.py",),
    ),
    Fault(
        "seed not used in the order of images",
        "rdvar_jax/data/loading/sampling_order.py",
        "np.random.SeedSequence(seed, spawn_key=(epoch,))",
        "np.random.SeedSequence(0, spawn_key=(epoch,))",
        (ORDER,),
    ),
    Fault(
        "an epoch's tail is cut off",
        "rdvar_jax/data/loading/sampling_order.py",
        "return epoch * num_images // batch_size",
        "return epoch * (num_images // batch_size)",
        (ORDER,),
    ),
    Fault(
        "fingerprint of the data without names",
        "rdvar_jax/data/loading/arrays.py",
        '        digest.update(os.fsencode(record.name) + b"\\0")\n',
        "        pass\n",
        (ARRAYS,),
    ),
    Fault(
        "overlapping tiles weigh alike up to their border",
        "rdvar_jax/data/loading/tiles.py",
        "return np.minimum(position + 1, side - position)",
        "return np.ones_like(position)",
        ("tests/data/loading/test_tiles.py",),
    ),
    Fault(
        "the first frame of an animation is taken",
        "rdvar_jax/data/pixels/image_file.py",
        'getattr(image, "n_frames", 1) > 1 and image.format != "MPO"',
        'getattr(image, "n_frames", 1) > 1 and image.format == "PNG"',
        ("tests/data/pixels/test_reader_matrix.py::test_other_formats",),
    ),
    Fault(
        "images without a reader are left out as if they were notes",
        "rdvar_jax/data/sets/listing.py",
        "if (install := missing_reader(path)) and not path.is_dir():",
        "if (install := missing_reader(path)) and path.is_dir():",
        ("tests/data/pixels/test_image_formats.py",),
    ),
)
