"""One flipped bit in any kept file, through the real commands: refused, harmless, or said."""

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import pytest
from run_files import metrics_lines
from saved_state import newest_step, read_state

from rdvar_jax import Detector
from rdvar_jax.errors import UserError

SEED = 20261128
WARNINGS = (" is damaged (", " damaged line")


@dataclass
class Bench:
    """A copy of a finished run, and the outcome of each command on it.

    Attributes:
        rdvar: calls commands.
        source: the run.
        exports: its bundle.
        folder: of the copy.
    """

    rdvar: object
    source: Path
    exports: Path
    folder: Path

    def reset(self) -> Path:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.source, self.folder / "run")
        shutil.copytree(self.exports, self.folder / "exports")
        return self.folder / "run"

    def evaluate(self, run: Path):
        done = self.rdvar.evaluate(run)
        results = json.loads((run / "results.json").read_text())
        return done, ({**results, "files": 0, "sha256": 0}, (run / "scores.csv").read_bytes())

    def train(self, run: Path):
        """Trains two epochs more: resumes from the newest state."""
        done = self.rdvar.train(run, "--config.train.epochs=9")
        if done.returncode:
            return done, None
        state = read_state(run, newest_step(run))
        arrays = {name: x.tobytes() for name, x in state.items()}
        return done, (newest_step(run), arrays, metrics_lines(run))

    def predict(self, run: Path):
        output = self.folder / "predicted"
        images = self.rdvar.root / "tile" / "test" / "spot"
        flags = ("--noheat_maps", "--nooverlays")
        args = ("predict", "--workdir", run, "--input", images, "--output", output, *flags)
        done = self.rdvar.run(*args)
        return done, (output / "scores.csv").read_bytes() if done.returncode == 0 else None

    def heat_maps(self, run: Path):
        """Predicts with pictures, whose colours come from results.json."""
        output = self.folder / "predicted"
        image = self.rdvar.root / "tile" / "test" / "spot" / "000.png"
        done = self.rdvar.run("predict", "--workdir", run, "--input", image, "--output", output)
        pictures = [path.read_bytes() for path in sorted(output.rglob("*.png"))]
        return done, pictures

    def threshold(self, run: Path):
        images = self.rdvar.root / "tile" / "test" / "good"
        flags = ("--target=0.4", "--confidence=0.75")
        done = self.rdvar.run("threshold", "--workdir", run, "--input", images, *flags)
        return done, (run / "threshold.json").read_bytes() if done.returncode == 0 else None

    def report(self, run: Path):
        done = self.rdvar.run("report", "--workdir", run)
        return done, (run / "report.html").read_bytes() if done.returncode == 0 else None

    def fold_threshold(self, run: Path):
        done = self.rdvar.run("threshold", "--workdir", run)
        return done, (run / "threshold.json").read_bytes() if done.returncode == 0 else None

    def fold_scores(self, run: Path):
        """Joins the folds once more; a damaged one is trained again."""
        (run / "good_scores.json").unlink()
        done = self.rdvar.train(run, *FOLDS)
        return done, (run / "good_scores.json").read_bytes() if done.returncode == 0 else None

    def export(self, run: Path):
        output = self.folder / "part.rdvar"
        done = self.rdvar.run("export", "--workdir", run, "--output", output)
        return done, output.read_bytes() if done.returncode == 0 else None


FOLDS = ("--config.train.folds=2",)

# Each kind of kept file: its pattern in the run, and the commands that read it.
KINDS: dict[str, tuple[str, tuple[Callable, ...]]] = {
    "settings": ("config.json", (Bench.evaluate, Bench.predict, Bench.export, Bench.train)),
    "manifest": (
        "checkpoints/*/manifest.json",
        (Bench.evaluate, Bench.train, Bench.predict, Bench.export, Bench.threshold),
    ),
    "checkpoint": ("checkpoints/*/default/**/*", (Bench.evaluate, Bench.train, Bench.export)),
    "teacher": ("teacher.safetensors", (Bench.evaluate, Bench.train, Bench.export)),
    "log": ("metrics.jsonl", (Bench.train, Bench.report)),
    "threshold": ("threshold.json", (Bench.predict, Bench.report, Bench.export, Bench.evaluate)),
    "results": ("results.json", (Bench.report, Bench.heat_maps)),
    "pictures": ("evaluation.json", (Bench.report,)),
    "scores": ("scores.csv", (Bench.report,)),
    "good scores": ("good_scores.json", (Bench.fold_threshold,)),
    "folds": ("folds/*.npz", (Bench.fold_scores,)),
    "training images": ("trained_images.json", (Bench.evaluate, Bench.threshold)),
}


@pytest.fixture
def bench(rdvar, finished, tmp_path) -> Bench:
    return Bench(rdvar, finished.workdir, finished.exports, tmp_path / "bench")


@pytest.fixture(scope="module")
def with_folds(rdvar, finished, tmp_path_factory) -> Path:
    run = Path(shutil.copytree(finished.workdir, tmp_path_factory.mktemp("with_folds") / "run"))
    done = rdvar.train(run, *FOLDS)
    assert done.returncode == 0, done.stderr
    return run


def flip(path: Path, rng: random.Random) -> str:
    content = bytearray(path.read_bytes())
    bit = rng.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    return f"bit {bit} of {path.name}"


def verdict(done, found, expected) -> str:
    """How the command took the damage; "SILENT" is what must not be."""
    if done.returncode == 2:
        lines = [line for line in done.stderr.splitlines() if line.startswith("rdvar: ")]
        return "refused" if len(lines) == 1 and "Traceback" not in done.stderr else "MANY LINES"
    if done.returncode == 0 and found == expected:
        return "same"
    said = done.returncode == 0 and any(text in done.stderr for text in WARNINGS)
    return "said" if said else "SILENT"


def flip_bits(bench: Bench, kind: str, count: int) -> Counter:
    pattern, commands = KINDS[kind]
    expected = {command: command(bench, bench.reset())[1] for command in commands}
    rng, verdicts = random.Random(f"{SEED} {kind}"), Counter()
    for number in range(count):
        run = bench.reset()
        paths = [p for p in sorted(run.glob(pattern)) if p.is_file() and p.stat().st_size]
        what = flip(rng.choice(paths), rng)
        command = commands[number % len(commands)]
        try:
            done, found = command(bench, run)
            result = verdict(done, found, expected[command])
        except Exception as error:  # a traceback, for the user
            done, result = None, f"{type(error).__name__}: {error}"
        assert result in ("refused", "same", "said"), (
            f"{what}, {command.__name__}: {result}\n{done and done.stderr}"
        )
        verdicts[result] += 1
        if number % 50 == 49:
            jax.clear_caches()  # or a hundred commands' programs stay in memory
    print(f"{kind}: {dict(verdicts)}")
    return verdicts


def flip_bundles(bench: Bench, rdvar, count: int) -> Counter:
    bench.reset()
    path = bench.folder / "exports" / "part.rdvar"
    images = sorted((rdvar.root / "tile" / "test").rglob("*.png"))
    content, expected = path.read_bytes(), Detector.load(path).predict(images)
    rng, verdicts = random.Random(f"{SEED} bundle"), Counter()
    for _ in range(count):
        path.write_bytes(content)
        what = flip(path, rng)
        try:
            detector = Detector.load(path)
        except UserError as error:
            assert "\n" not in str(error)
            verdicts["refused"] += 1
            continue
        found = detector.predict(images)
        assert np.array_equal(found.scores, expected.scores), what
        assert np.array_equal(found.verdicts, expected.verdicts), what
        verdicts["same"] += 1
    print(f"bundle: {dict(verdicts)}")
    return verdicts


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_few_flipped_bits(bench, kind, request):
    if "fold" in KINDS[kind][1][0].__name__:
        bench.source = request.getfixturevalue("with_folds")
    flip_bits(bench, kind, 2 * len(KINDS[kind][1]))


@pytest.mark.slow
def test_a_few_flipped_bits_of_a_bundle(bench, rdvar):
    flip_bundles(bench, rdvar, 10)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_flipped_bits(bench, kind, request):
    if "fold" in KINDS[kind][1][0].__name__:
        bench.source = request.getfixturevalue("with_folds")
    flip_bits(bench, kind, 100)


@pytest.mark.nightly
def test_a_hundred_flipped_bits_of_a_bundle(bench, rdvar):
    flip_bundles(bench, rdvar, 100)
