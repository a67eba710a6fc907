"""Faults in how files become images, masks, labels and batches."""

from faults.fault import Fault

DECODE = "tests/data/pixels/test_decode.py"
GEOMETRY = "tests/data/pixels/test_geometry.py"
ORDER = "tests/data/loading/test_sampling_order.py"
ARRAYS = "tests/data/loading/test_arrays.py"

FAULTS = (
    Fault(
        "masks cut at 0.4",
        "rdvar_jax/data/pixels/decode.py",
        '{"half": 127, "any": 0}',
        '{"half": 102, "any": 0}',
        (f"{DECODE}::test_thresholds",),
    ),
    Fault(
        "masks inverted",
        "rdvar_jax/data/pixels/decode.py",
        "geometry.apply_mask(mask) > mask_limit(threshold)",
        "geometry.apply_mask(mask) <= mask_limit(threshold)",
        (f"{DECODE}::test_thresholds",),
    ),
    Fault(
        "images decoded as BGR",
        "rdvar_jax/data/pixels/geometry.py",
        "return self._apply(image, _MEAN_COLOUR)",
        "return self._apply(image, _MEAN_COLOUR)[..., ::-1]",
        (f"{DECODE}::test_pixels_of_every_lossless_format",),
    ),
    Fault(
        "orientation of photographs ignored",
        "rdvar_jax/data/pixels/image_file.py",
        "        ImageOps.exif_transpose(image, in_place=True)\n",
        "        image.load()\n",
        (f"{DECODE}::test_exif_orientation_is_applied",),
    ),
    Fault(
        "images resized to the nearest pixel",
        "rdvar_jax/data/pixels/geometry.py",
        "image.resize(target.size_wh, Image.Resampling.BILINEAR, box=source)",
        "image.resize(target.size_wh, Image.Resampling.NEAREST, box=source)",
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
        "inside[self.boxes(size_wh)[1].slices] = True",
        "inside[:] = True",
        (f"{ARRAYS}::test_a_border_is_known",),
    ),
    Fault(
        "padded border comes back into the map",
        "rdvar_jax/data/pixels/geometry.py",
        "np.asarray(anomaly_map, np.float32)[target.slices]",
        "np.asarray(anomaly_map, np.float32)",
        (GEOMETRY,),
    ),
    Fault(
        "label from the mask instead of the folder",
        "rdvar_jax/data/sets/layouts/by_defect.py",
        "int(defect != GOOD)",
        "int(mask is not None)",
        ("tests/data/sets/test_layouts.py",),
    ),
    Fault(
        "small values of VisA's masks lost",
        "rdvar_jax/data/sets/layouts/visa.py",
        "defect, mask, not is_good)",
        "defect, mask, False)",
        ("tests/data/sets/test_layouts.py::test_visa",),
    ),
    Fault(
        "seed not used in the order of images",
        "rdvar_jax/data/loading/sampling_order.py",
        "np.random.SeedSequence(seed, spawn_key=(epoch,))",
        "np.random.SeedSequence(0, spawn_key=(epoch,))",
        (ORDER,),
    ),
    Fault(
        "every epoch in one order",
        "rdvar_jax/data/loading/sampling_order.py",
        "np.random.SeedSequence(seed, spawn_key=(epoch,))",
        "np.random.SeedSequence(seed, spawn_key=(0,))",
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
        "streamed batches are sorted",
        "rdvar_jax/data/loading/grain_reader.py",
        "self.images.take(indices[self.rows])",
        "self.images.take(np.sort(indices[self.rows]))",
        ("tests/data/loading/test_grain_reader.py",),
    ),
    Fault(
        "seed not used in choosing validation images",
        "rdvar_jax/data/sets/validation.py",
        "% (seed, os.fsencode(record.name))",
        "% (0, os.fsencode(record.name))",
        ("tests/data/sets/test_validation.py",),
    ),
    Fault(
        "fingerprint of the data without names",
        "rdvar_jax/data/loading/arrays.py",
        '        digest.update(os.fsencode(record.name) + b"\\0")\n',
        "        pass\n",
        (ARRAYS,),
    ),
    Fault(
        "half of a set may be left out",
        "rdvar_jax/data/loading/skipping.py",
        "MAX_SHARE = 0.05",
        "MAX_SHARE = 0.5",
        ("tests/data/loading/test_skipping.py",),
    ),
    Fault(
        "overlapping tiles weigh alike up to their border",
        "rdvar_jax/data/loading/tiles.py",
        "return np.minimum(position + 1, side - position)",
        "return np.ones_like(position)",
        ("tests/data/loading/test_tiles.py",),
    ),
)
