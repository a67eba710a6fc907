"""The run's copy of the teacher: what is kept with it."""

import pytest

from rdvar_jax.errors import WeightsError
from rdvar_jax.runs.teacher_file import read_teacher_copy, write_teacher
from rdvar_jax.weights.safetensors_file import read_safetensors, write_safetensors

REMARK = "timm's resnet18.tv_in1k, whose values could not be compared with torchvision's"


@pytest.mark.parametrize("unverified", ["", REMARK])
def test_what_is_not_known_about_the_weights_is_kept(tmp_path, tiny, unverified):
    path = tmp_path / "teacher.safetensors"
    write_teacher(path, "tiny", tiny.teacher_variables, "f" * 64, unverified)
    found = read_teacher_copy(path, "tiny", tiny.teacher_variables)
    assert (found.source_sha256, found.unverified) == ("f" * 64, unverified)
    assert ("unverified" in read_safetensors(path)[1]) == bool(unverified)


def test_it_is_sealed_and_other_entries_are_refused(tmp_path, tiny):
    path = tmp_path / "teacher.safetensors"
    write_teacher(path, "tiny", tiny.teacher_variables, "f" * 64, REMARK)
    tensors, metadata = read_safetensors(path)
    for change, message in (
        ({"unverified": "verified"}, "does not fit its content"),
        ({"more": ""}, "its metadata are not those of a run"),
    ):
        write_safetensors(path, tensors, metadata | change)
        with pytest.raises(WeightsError, match=message):
            read_teacher_copy(path, "tiny", tiny.teacher_variables)
