"""Programs that are kept: found again without tracing, and never wrong because of a bad file."""

import dataclasses
import threading
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from rdvar_jax.devices import kept_files, kept_programs
from rdvar_jax.devices.compiler import compiled, fetch
from rdvar_jax.devices.kept_files import MOST_FILES, SUFFIX, Kept, read_kept, write_kept
from rdvar_jax.devices.parallel import Parallel


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """A tree that JSON does not know."""

    count: jax.Array
    values: dict


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder of programs."""
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.delenv("RDVAR_KEEP_PROGRAMS")
    monkeypatch.setenv("RDVAR_CACHE", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    yield tmp_path / "xla"
    jax.config.update("jax_compilation_cache_dir", before)


def kept_in(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def update(state, x):
    y = jnp.sin(x) @ state.values["w"]
    new = State(state.count + 1, {"w": state.values["w"] + y.mean()})
    return new, {"sum": y.sum(), "none": None, "both": [y, (x * 2,)]}


def arguments(size: int = 5) -> tuple:
    device = jax.local_devices()[0]
    w = np.linspace(0, 1, size * 3, dtype=np.float32).reshape(size, 3)
    state = jax.device_put(State(np.int32(3), {"w": w}), device)
    return state, np.linspace(-1, 1, 4 * size, dtype=np.float32).reshape(4, size)


def program(made_from: str = "update, version 1", fn=update, **options):
    return compiled(fn, platform="cpu", made_from=made_from, **options)


@pytest.fixture
def never_compiles(monkeypatch):
    """From now on a program must come from a file."""

    def refuse(self, name, *args):
        raise AssertionError(f"{name} was compiled again")

    return lambda: monkeypatch.setattr(kept_programs.KeptPrograms, "_make", refuse)


def assert_same(found, expected) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype and one.sharding == other.sharding


def test_a_program_is_found_again(folder, never_compiles):
    expected = jax.jit(update)(*arguments())
    assert_same(program()(*arguments()), expected)
    (path,) = kept_in(folder)
    assert path.name.startswith("update-")
    never_compiles()
    assert_same(program()(*arguments()), expected)


def test_a_program_that_jax_has_kept_too_is_whole(folder, never_compiles):
    """What JAX reads from its own cache lacks functions once it is written again."""
    jax.config.update("jax_compilation_cache_dir", str(folder))
    compilation_cache.reset_cache()  # it keeps its first folder
    try:
        expected = program()(*arguments())
        assert any(path.name.endswith("-cache") for path in folder.iterdir())
        for path in kept_in(folder):
            path.unlink()
        program()(*arguments())
    finally:
        compilation_cache.reset_cache()
    never_compiles()
    assert_same(program()(*arguments()), expected)


def test_donated_arguments_are_used_up(folder, never_compiles):
    for _ in range(2):
        state, x = arguments()
        program(donate_argnums=(0,))(state, x)
        assert state.values["w"].is_deleted() and x.flags.writeable is not False
        never_compiles()


@pytest.mark.parametrize("mode", ["pmap", "shard_map"])
def test_a_wrapped_function_is_kept(folder, never_compiles, monkeypatch, mode):
    """The step of training and scoring on one device."""
    monkeypatch.setattr("rdvar_jax.devices.compiler.code_in_programs", lambda: "code")
    monkeypatch.setattr("rdvar_jax.devices.made_from._known", {double: "double"})
    parallel = Parallel(mode, tuple(jax.local_devices()[:1]))

    def call():
        wrapped = parallel.wrap(double, split=(False, True), split_output=True)
        factor = parallel.replicate(np.float32(2))
        out = wrapped(factor, parallel.shard_batch(np.arange(6, dtype=np.float32)))
        return parallel.gather(out), out.sharding

    monkeypatch.setenv("RDVAR_KEEP_PROGRAMS", "0")
    expected = call()
    monkeypatch.delenv("RDVAR_KEEP_PROGRAMS")
    assert not kept_in(folder)
    for _ in range(2):
        forget_wrapped()
        found = call()
        np.testing.assert_array_equal(found[0], np.arange(6) * 2)
        np.testing.assert_array_equal(found[0], expected[0])
        assert found[1] == expected[1]
        assert len(kept_in(folder)) == 1
        never_compiles()
    forget_wrapped()


def double(factor, x):
    return x * factor


def forget_wrapped() -> None:
    from rdvar_jax.devices import parallel

    parallel._wrapped.forget()


def flip(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 16
    path.write_bytes(content)


def keep_other_key(path: Path) -> None:
    """What another version or machine keeps, under this name."""
    digest, head, content = path.read_bytes().split(b"\n", 2)
    head = head.replace(b'\\"jax\\": \\"', b'\\"jax\\": \\"9')
    rest = head + b"\n" + content
    path.write_bytes(kept_files.hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)


def keep_other_content(path: Path) -> None:
    """Right hashes around what is no program."""
    head = path.read_bytes().split(b"\n", 2)[1]
    rest = head + b"\nnot a program"
    path.write_bytes(kept_files.hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)


@pytest.mark.parametrize(
    "damage",
    [
        *(partial(flip, place=place) for place in (0, 0.02, 0.2, 0.5, 0.9, 1)),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\n\n"),
        keep_other_key,
        keep_other_content,
    ],
)
def test_a_bad_file_is_made_again(folder, never_compiles, damage):
    expected = program()(*arguments())
    (path,) = kept_in(folder)
    good = path.read_bytes()
    damage(path)
    bad = path.read_bytes()
    assert bad != good
    assert_same(program()(*arguments()), expected)
    assert path.read_bytes() != bad
    never_compiles()
    assert_same(program()(*arguments()), expected)  # from the file that was made again


def test_a_folder_that_cannot_be_written_only_costs_time(folder):
    folder.write_text("a file where the folder should be")
    for _ in range(2):
        assert_same(program()(*arguments()), jax.jit(update)(*arguments()))
    assert folder.is_file()


def test_each_program_has_its_own_file(folder, monkeypatch):
    def count() -> int:
        return len(kept_in(folder))

    program()(*arguments())
    program()(*arguments(6))  # other shapes
    assert count() == 2
    program("update, version 2")(*arguments())
    program(donate_argnums=(0,))(*arguments())
    assert count() == 4
    with jax.default_matmul_precision("highest"):
        program()(*arguments())
    assert count() == 5
    monkeypatch.setattr(jax, "__version__", "0.99.0")
    program()(*arguments())
    assert count() == 6
    monkeypatch.setattr("rdvar_jax.devices.canary.instruction_sets", lambda: ["avx2"])
    program()(*arguments())
    assert count() == 7


def test_one_function_takes_any_shapes_and_settings(folder):
    fn = program()
    for size in (5, 6, 5):
        assert_same(fn(*arguments(size)), jax.jit(update)(*arguments(size)))
    with jax.default_matmul_precision("highest"):
        fn(*arguments())
    assert len(kept_in(folder)) == 3


def test_what_is_unusual_is_left_to_jax(folder):
    def outer(x):
        return program("inner", jnp.square)(x)

    x = jax.device_put(np.ones(3, np.float32), jax.local_devices()[0])
    with pytest.raises(ValueError, match="top-level"):  # JAX's own words
        jax.jit(outer)(x)
    np.testing.assert_array_equal(outer(np.ones(3, np.float32)), np.square(x))  # on no device yet
    spread = Parallel("pmap", tuple(jax.local_devices()[:2])).replicate(np.ones(3, np.float32))
    np.testing.assert_array_equal(outer(spread), np.square(x))
    with jax.debug_nans(True), pytest.raises(FloatingPointError):
        program("log", jnp.log)(-x)
    with jax.disable_jit():
        program("inner", jnp.square)(x)
    compiled(update, platform="cpu")(*arguments())  # of unknown origin
    assert not kept_in(folder)


def test_nothing_is_kept_where_jax_keeps_nothing(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("RDVAR_KEEP_PROGRAMS", "0")
        program()(*arguments())
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        program()(*arguments())
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
    assert not kept_in(folder)


def test_several_may_keep_the_same_program(folder, never_compiles):
    expected, found = jax.jit(update)(*arguments()), []
    start = threading.Barrier(3)

    def work():
        fn, args = program(), arguments()
        start.wait()
        found.append(fn(*args))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    for one in found:
        assert_same(one, expected)
    assert [path.name for path in folder.iterdir() if path.suffix == ".tmp"] == []
    never_compiles()
    assert_same(program()(*arguments()), expected)


def shapes(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def test_a_program_can_be_loaded_ahead(folder, monkeypatch):
    device, args = jax.local_devices()[0], arguments()
    assert fetch(program(), device, *shapes(args)) is None  # not kept yet
    expected = program()(*args)
    fn = program()
    assert fetch(fn, device, *shapes(args)) == shapes(expected)
    monkeypatch.setattr(kept_programs, "read_kept", None)
    assert_same(fn(*args), expected)
    assert_same(fn(*args), expected)


def test_a_bad_file_loaded_ahead_is_made_again(folder, never_compiles):
    args = arguments()
    expected = program()(*args)
    (path,) = kept_in(folder)
    keep_other_content(path)
    fn = program()
    assert fetch(fn, jax.local_devices()[0], *shapes(args)) == shapes(expected)
    assert_same(fn(*args), expected)
    never_compiles()
    assert_same(program()(*args), expected)


def test_functions_that_are_not_kept_are_not_loaded_ahead(folder):
    device, args = jax.local_devices()[0], shapes(arguments())
    assert fetch(compiled(update, platform="cpu"), device, *args) is None
    program()(*arguments())
    with jax.disable_jit():
        assert fetch(program(), device, *args) is None


def test_the_files_that_were_not_used_for_longest_go(folder, monkeypatch):
    monkeypatch.setattr(kept_files, "MOST_FILES", 3)
    assert MOST_FILES > 100
    paths = [folder / f"program-{index}{SUFFIX}" for index in range(4)]
    for index, path in enumerate(paths[:3]):
        write_kept(path, "key", Kept({}, b"content"))
        kept_files.os.utime(path, (index, index))
    assert read_kept(paths[0], "key") == ({}, b"content")  # used now
    write_kept(paths[3], "key", Kept({}, b"content"))
    assert kept_in(folder) == [paths[0], paths[2], paths[3]]
