"""The declared grids against the paper's tables, and when two runs are the same."""

import shutil

import pytest
from reproduction import addresses, paper
from reproduction.addresses import address, identity
from reproduction.experiments import EXPERIMENTS, LAMBDAS, cells
from reproduction.sweep import make_plan

from rdvar_jax.errors import ConfigError, DataError
from rdvar_jax.runs.config import default_config, flatten


def config(root="", **settings):
    base = default_config()
    base.data.root = str(root)
    base.data.category = "tile"
    base.teacher.weights = "random"
    with base.unlocked():
        base.update_from_flattened_dict({k.replace("__", "."): v for k, v in settings.items()})
    return base


def changed(experiment: str, base) -> dict[str, dict]:
    """Of each variant, the settings that it changes."""
    default = flatten(base)
    return {
        cell.variant: {k: v for k, v in flatten(cell.config).items() if v != default[k]}
        for cell in cells(EXPERIMENTS[experiment], base, ["tile"], [0])
    }


@pytest.mark.parametrize(
    ("experiment", "expected"),
    [
        ("table1", {"RD": {"loss.lambda_var": 0.0}, "RD + L_var": {}}),
        ("table2", {"RD": {"loss.lambda_var": 0.0}, "RD + L_var": {}}),
        ("fig3", {"RD": {"loss.lambda_var": 0.0}, "RD + L_var": {}}),
        (
            "table3",
            {
                "cosine": {},
                "L1": {"loss.distance": "l1"},
                "L2": {"loss.distance": "l2"},
                "L1, sum": {"loss.distance": "l1", "loss.reduction": "sum"},
                "L2, sum": {"loss.distance": "l2", "loss.reduction": "sum"},
            },
        ),
        (
            "table4",
            {
                "batch 4": {"train.batch_size": 4},
                "batch 8": {"train.batch_size": 8},
                "batch 16": {},
                "batch 32": {"train.batch_size": 32},
            },
        ),
        (
            "table5",
            {
                "D1": {},
                "D2": {"loss.stages": ["d2"]},
                "D3": {"loss.stages": ["d3"]},
                "D1+D2+D3": {"loss.stages": ["d1", "d2", "d3"]},
            },
        ),
    ],
)
def test_the_grids_are_the_papers_tables(experiment, expected):
    assert changed(experiment, config()) == expected


def test_the_lambdas_are_those_of_the_sweep():
    expected = {
        f"λ = {value:g}": {} if value == 0.1 else {"loss.lambda_var": value} for value in LAMBDAS
    }
    assert changed("fig4", config()) == expected
    assert LAMBDAS == (0, 0.01, 0.03, 0.1, 0.3, 1, 3)


@pytest.mark.parametrize("name", ["table3", "table4", "table5"])
def test_variants_have_the_papers_names(name):
    printed = {"table3": paper.TABLE3, "table4": paper.TABLE4, "table5": paper.TABLE5}[name]
    experiment = EXPERIMENTS[name]
    assert [variant.name for variant in experiment.variants] == list(printed)
    # All of them hold the paper's one main result, under the variant that is the default.
    assert printed[experiment.reference] == (99.19, 97.98)


def test_the_papers_means_follow_from_its_rows():
    columns = list(zip(*paper.TABLE1.values(), strict=True))
    for pairs, expected in zip(columns, ((98.46, 97.81), (99.19, 97.98)), strict=True):
        means = [sum(column) / 15 for column in zip(*pairs, strict=True)]
        assert means == pytest.approx(expected, abs=0.005)


def test_a_grid_is_every_combination_with_pairs_side_by_side():
    grid = list(cells(EXPERIMENTS["table1"], config(), ["a", "b"], [3, 4]))
    seen = [(cell.category, cell.seed, cell.variant) for cell in grid]
    assert seen == [(c, s, v) for s in (3, 4) for c in ("a", "b") for v in ("RD", "RD + L_var")]
    assert all(cell.config.train.seed == cell.seed for cell in grid)
    assert all(cell.config.data.category == cell.category for cell in grid)


def test_an_experiment_about_l_var_needs_one():
    with pytest.raises(ConfigError, match="loss.lambda_var=0 leaves nothing to compare in table3"):
        list(cells(EXPERIMENTS["table3"], config(loss__lambda_var=0.0), ["tile"], [0]))
    assert len(list(cells(EXPERIMENTS["fig4"], config(loss__lambda_var=0.0), ["tile"], [0]))) == 7


def test_experiments_share_runs(toy_root, tmp_path):
    plan = make_plan(list(EXPERIMENTS.values()), config(toy_root), ["tile"], [0, 1], tmp_path)
    assert sum(map(len, plan.asked.values())) == 2 * (2 + 2 + 5 + 4 + 4 + 2 + 7 + 2 + 2 + 3)
    # λ: 7; distance, batch and stages add 4, 3 and 3 to the one that all have; PyTorch one, STFPM
    # and the centre two each.
    assert len(plan.requests) == 2 * (7 + 4 + 3 + 3 + 1 + 2 + 2)
    assert not list(tmp_path.iterdir())


def test_what_changes_a_result_changes_the_address(toy_root, tmp_path):
    one = address(identity(config(toy_root)))
    others = {
        name: address(identity(config(toy_root, **{name: value})))
        for name, value in {
            "train__epochs": 3,
            "train__seed": 1,
            "loss__lambda_var": 0.2,
            "score__sigma": 2.0,
            "data__mask_threshold": "any",
            "compute__precision": "bfloat16",
            "teacher__weights": "procedural",
        }.items()
    }
    assert len({one, *others.values()}) == 1 + len(others)


def test_what_changes_no_result_keeps_the_address(toy_root, tmp_path):
    one = address(identity(config(toy_root)))
    shutil.copytree(toy_root / "tile", tmp_path / "tile")
    assert address(identity(config(tmp_path))) == one
    assert address(identity(config(toy_root, report__max_figures=3))) == one
    assert address(identity(config(toy_root, logging__tensorboard=True))) == one


def test_other_images_masks_or_code_have_other_addresses(toy_root, tmp_path, monkeypatch):
    seen = set()
    for index in range(3):
        root = tmp_path / str(index)
        shutil.copytree(toy_root / "tile", root / "tile")
        if index == 1:
            image = root / "tile" / "train" / "good" / "000.png"
            image.write_bytes(image.read_bytes() + b"\0")
        if index == 2:
            mask = root / "tile" / "ground_truth" / "spot" / "000_mask.png"
            mask.write_bytes(mask.read_bytes() + b"\0")
        seen.add(address(identity(config(root))))
    assert len(seen) == 3
    monkeypatch.setattr(addresses, "code_hash", lambda: "another")
    assert address(identity(config(tmp_path / "0"))) not in seen


def test_a_missing_category_is_said(tmp_path):
    with pytest.raises(DataError, match="no category 'tile'"):
        identity(config(tmp_path))
