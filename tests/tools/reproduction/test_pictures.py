"""Plots and panels show the values that they are given."""

import json
from dataclasses import replace

import numpy as np
import pytest
from made_up import CATEGORIES, SEEDS, made_up, write_all
from PIL import Image
from reproduction import collapse, heat_maps, plots
from reproduction.experiments import EXPERIMENTS, LAMBDAS, cells
from reproduction.report import percents
from reproduction.run_folder import RunFolder

from rdvar_jax.runs.config import default_config

EXPECTED = {
    "table1": {"categories.png", "losses.png"},
    "table2": set(),
    "table3": {"variants.png", "losses.png"},
    "table4": {"variants.png", "losses.png"},
    "table5": {"variants.png", "losses.png"},
    "fig3": {"screw.png", "metal_nut.png", "my own part.png"},
    "fig4": {"lambda.png", "collapse.png", "losses.png"},
    "torch": {"variants.png", "losses.png"},
    "stfpm": {"variants.png", "losses.png"},
    "centre": {"variants.png", "losses.png"},
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    output = tmp_path_factory.mktemp("written")
    write_all(output)
    return output


def test_every_experiment_has_its_files(written):
    for name, pictures in EXPECTED.items():
        files = {path.name for path in (written / name).iterdir()}
        data = {"table.md", "table.csv", "runs.csv", "runs.jsonl", "report.json"}
        data |= {"environment.json"}
        assert files == pictures | data
        runs = (written / name / "runs.csv").read_text().splitlines()
        number = len(EXPERIMENTS[name].variants) * len(CATEGORIES) * len(SEEDS)
        assert len(runs) == 1 + number
        lines = (written / name / "runs.jsonl").read_text().splitlines()
        assert len(lines) == number and len(json.loads(lines[0])["epochs"]) == 8


def drawn(monkeypatch, draw):
    """The axes of a picture, before it is written."""
    kept = []
    monkeypatch.setattr(plots, "_save", lambda figure, path, text: kept.append(figure))
    draw()
    (figure,) = kept
    yield from figure.axes
    plots.pyplot.close(figure)


def outcomes(name):
    rng = np.random.default_rng(1)
    grid = cells(EXPERIMENTS[name], default_config(), CATEGORIES, SEEDS)
    return [made_up(cell, rng, RunFolder(None)) for cell in grid]


def test_the_curve_of_lambda_goes_through_the_means(monkeypatch, tmp_path):
    made = outcomes("fig4")
    fig4 = EXPERIMENTS["fig4"]
    image, pixel = drawn(monkeypatch, lambda: plots.curve_of_lambda(fig4, made, tmp_path))
    for axes, metric in ((image, "image_auroc"), (pixel, "pixel_auroc")):
        line = axes.containers[0][0]
        labels = [label.get_text() for label in axes.get_xticklabels()]
        assert list(line.get_xdata()) == list(axes.get_xticks())
        assert [float(label) for label in labels] == list(LAMBDAS)
        values = np.array(
            [
                [percents(made, v.name, metric)[c][s] for c in CATEGORIES for s in SEEDS]
                for v in fig4.variants
            ]
        )
        np.testing.assert_allclose(np.array(line.get_ydata(), float), values.mean(axis=1))
        (bars,) = axes.containers[0][2]
        lengths = [segment[1][1] - segment[0][1] for segment in bars.get_segments()]
        over_seeds = values.reshape(len(LAMBDAS), len(CATEGORIES), len(SEEDS)).mean(axis=1)
        np.testing.assert_allclose(np.array(lengths, float), 2 * over_seeds.std(axis=1, ddof=1))


def test_the_collapse_curve_has_a_line_a_category(monkeypatch, tmp_path):
    made, fig4 = outcomes("fig4"), EXPERIMENTS["fig4"]
    panels = drawn(monkeypatch, lambda: plots.collapse_curve(fig4, made, tmp_path)[0])
    for axes, measure in zip(panels, collapse.MEASURES, strict=True):
        lines = [line for line in axes.get_lines() if line.get_label() in CATEGORIES]
        for line, category in zip(lines, CATEGORIES, strict=True):
            means = [
                np.mean(collapse.values(made, v.name, category, measure)) for v in fig4.variants
            ]
            np.testing.assert_allclose(np.array(line.get_ydata(), float), means)
    without = [replace(one, result={**one.result, "collapse": None}) for one in made]
    assert plots.collapse_curve(fig4, without, tmp_path) == []


def test_bars_are_the_means_of_each_category(monkeypatch, tmp_path):
    made = outcomes("table1")
    panels = drawn(
        monkeypatch, lambda: plots.bars_by_category(EXPERIMENTS["table1"], made, tmp_path)
    )
    axes = next(panels)
    bars = [container for container in axes.containers if hasattr(container, "patches")]
    for container, variant in zip(bars, ("RD", "RD + L_var"), strict=True):
        values = percents(made, variant, "image_auroc")
        expected = [np.mean(list(values[category].values())) for category in CATEGORIES]
        np.testing.assert_allclose([bar.get_height() for bar in container.patches], expected)
        # Nothing is cut off, whatever the axis begins with.
        low, high = axes.get_ylim()
        assert all(low < value < high for of in values.values() for value in of.values())
    list(panels)


def test_loss_curves_are_means_over_seeds(monkeypatch, tmp_path):
    made = outcomes("table1")
    panels = list(
        drawn(monkeypatch, lambda: plots.loss_curves(EXPERIMENTS["table1"], made, tmp_path))
    )
    lines = {line.get_label(): line.get_ydata() for line in panels[1].lines}
    runs = [o for o in made if (o.variant, o.category) == ("RD", "screw")]
    expected = np.mean([[e["loss_var"] for e in o.result["epochs"]] for o in runs], axis=0)
    np.testing.assert_allclose(lines["RD"], expected)


def test_both_heat_maps_have_one_colour_scale(tmp_path):
    made = outcomes("fig3")
    size = 32
    maps = {"RD": np.zeros((1, size, size)), "RD + L_var": np.zeros((1, size, size))}
    maps["RD"][0, :, :16] = 1.0
    maps["RD + L_var"][0, :, :16] = 0.5
    for outcome in made:
        run = RunFolder(tmp_path / outcome.variant)
        run.folder.mkdir(exist_ok=True)
        np.savez(
            run.examples,
            names=np.array(["test/hole/000.png"]),
            images=np.full((1, size, size, 3), 128, np.uint8),
            masks=np.zeros((1, size, size), bool),
            maps=maps[outcome.variant],
        )
        object.__setattr__(outcome, "run", run)
    (picture, *_) = heat_maps.draw_panels(made, tmp_path)
    pixels = np.asarray(Image.open(tmp_path / picture.file)).astype(int)
    row = heat_maps.LINE + heat_maps.TILE // 2
    left = [heat_maps.GAP + column * (heat_maps.TILE + heat_maps.GAP) for column in (2, 3)]
    full, half = (pixels[row, x + 40] for x in left)
    cold = [pixels[row, x + heat_maps.TILE - 40] for x in left]
    assert np.array_equal(cold[0], cold[1])  # no heat: the grey image
    assert np.ptp(cold[0]) == 0
    # Full heat is red; half of it is another colour, as on one scale it must be.
    assert full[0] > 100 and full[1] < 60
    assert abs(half - full).max() > 80
