"""Tables and sentences from results made up by hand."""

from types import SimpleNamespace

import pytest
from reproduction import by_category, by_time, by_variant
from reproduction.cost import Probe, describe, in_words
from reproduction.experiments import EXPERIMENTS
from reproduction.page import make_page
from reproduction.report import Picture, Report, markdown, report_from_json, tables_csv
from reproduction.sweep import Outcome


def outcome(variant, category, seed, image, pixel=0.9, oracle=None, **timing):
    result = {
        "metrics": {"image_auroc": image, "pixel_auroc": pixel, "aupro": 0.8},
        "oracle": oracle,
        "epochs": [],
        "address": f"{variant}{category}{seed}",
    }
    times = {
        "seconds_per_step": 1.0,
        "train_seconds": 9.0,
        "resumed": False,
        "others_cores": 0.0,
        **timing,
    }
    return Outcome(variant, category, seed, result, times, None)  # pyright: ignore


PAIRS = [
    outcome("RD", "screw", 0, 0.970),
    outcome("RD", "screw", 1, 0.980),
    outcome("RD + L_var", "screw", 0, 0.975),
    outcome("RD + L_var", "screw", 1, 0.991),
    outcome("RD", "mine", 0, 0.80),
    outcome("RD", "mine", 1, 0.82),
    outcome("RD + L_var", "mine", 0, 0.80),
    outcome("RD + L_var", "mine", 1, 0.81),
]


def row(table, name):
    return dict(zip(table.header, next(r for r in table.rows if r[0] == name), strict=True))


def test_table1_stands_beside_the_paper():
    table = by_category.tables(PAIRS)[0]
    screw = row(table, "screw")
    assert screw["RD"] == "97.50 ± 0.71"
    assert screw["RD + L_var"] == "98.30 ± 1.13"
    assert screw["difference"] == "+0.80"
    assert screw["more / same / less"] == "2 / 0 / 0"
    assert screw["p"] == "0.5"
    assert (screw["paper: RD"], screw["paper: RD + L_var"]) == ("97.0", "99.2")
    assert screw["RD: ours - paper"] == "+0.50"
    assert screw["RD + L_var: ours - paper"] == "-0.90"
    mine = row(table, "mine")
    assert (mine["paper: RD"], mine["RD: ours - paper"]) == ("", "")
    assert mine["more / same / less"] == "0 / 1 / 1"
    # The paper's mean is of other categories than these.
    mean = row(table, "mean")
    assert mean["RD"] == "89.25 ± 1.06" and mean["difference"] == "+0.15"
    assert mean["paper: RD"] == ""


def test_the_papers_mean_stands_beside_fifteen_categories():
    from reproduction import paper

    full = [outcome(v, c, 0, 0.9) for v in ("RD", "RD + L_var") for c in paper.TABLE1]
    mean = row(by_category.tables(full)[0], "mean")
    assert (mean["paper: RD"], mean["paper: RD + L_var"]) == ("98.5", "99.2")


def test_the_best_epoch_has_a_column_that_says_oracle_and_no_other_place():
    assert not any("oracle" in name for name in by_category.tables(PAIRS)[0].header)
    oracle = [
        outcome("RD", "screw", 0, 0.9, oracle={"image_auroc": 0.99}),
        outcome("RD + L_var", "screw", 0, 0.9, oracle={"image_auroc": 0.98}),
    ]
    table = by_category.tables(oracle)[0]
    screw = row(table, "screw")
    assert screw["oracle: RD, best epoch on test"] == "99.00"
    assert screw["RD"] == "90.00"
    assert not any("99.00" in sentence for sentence in by_category.findings(oracle))


def test_counts_stand_beside_the_papers_words():
    image, pixel = by_category.findings(PAIRS)[-2:]
    assert "more with L_var in 1 (the same 0, less 1) of 2 categories" in image
    assert "text says 14 of 15; its table has 10 (the same 4, less 1)" in image
    assert "text says 12 of 15; its table has 9 (the same 3, less 3)" in pixel


@pytest.mark.parametrize(
    ("last", "said"), [(0.8, "fell by 20% (screw); more"), (0.95, "fell by 5% (screw); more")]
)
def test_whether_the_loss_has_levelled_off(last, said):
    losses = [9.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.9, 2 * last]
    made = outcome("RD", "screw", 0, 0.9)
    made.result["epochs"] = [{"loss_model": value} for value in losses]
    (sentence,) = by_category.levelled_off([made])
    assert said in sentence
    assert sentence.endswith(": screw." if last < 0.9 else ": none.")
    made.result["epochs"] = []
    assert by_category.levelled_off([made]) == []


def test_a_missing_run_leaves_its_seed_out_of_the_mean():
    table = by_category.tables(PAIRS[:-1])[0]
    assert row(table, "mean")["RD + L_var"] == "88.75"
    assert row(table, "mine")["more / same / less"] == "0 / 1 / 0"
    assert row(by_category.tables(PAIRS[:2])[0], "screw")["RD + L_var"] == ""


def test_variants_are_compared_with_the_reference():
    runs = [outcome("cosine", "screw", s, 0.97 + 0.01 * s) for s in (0, 1)]
    runs += [outcome("L1", "screw", s, 0.96 + 0.01 * s) for s in (0, 1)]
    table = by_variant.tables(EXPERIMENTS["table3"], runs)[0]
    assert row(table, "cosine")["difference"] == "reference"
    l1 = row(table, "L1")
    assert (l1["difference"], l1["more / same / less"]) == ("-1.00", "0 / 0 / 2")
    assert (l1["paper"], l1["ours - paper"]) == ("56.44", "+40.06")
    assert row(table, "L2")["Image AUROC, %"] == ""
    # 2 metrics x 4 variants beside the reference.
    assert len(by_variant.findings(EXPERIMENTS["table3"], runs)) == 8


def test_time_is_paired_and_leaves_resumed_runs_out():
    runs = [
        outcome("RD", "screw", 0, 0.9, seconds_per_step=2.0),
        outcome("RD + L_var", "screw", 0, 0.9, seconds_per_step=2.1),
        outcome("RD", "screw", 1, 0.9, seconds_per_step=1.0),
        outcome("RD + L_var", "screw", 1, 0.9, seconds_per_step=9.0, resumed=True),
    ]
    difference = by_time.overhead(runs)
    assert difference.num_pairs == 1 and difference.mean == pytest.approx(5.0)
    assert not any("shared machine" in text for text in by_time.findings(runs))
    busy = [*runs, outcome("RD", "screw", 2, 0.9, others_cores=0.7)]
    assert "up to 0.70 cores busy" in by_time.findings(busy)[-1]
    assert "no time is compared" in by_time.findings(runs[3:])[0]


def test_reports_survive_json_and_say_everything():
    report = Report(
        "table1",
        "Title <b>",
        warnings=["Beware"],
        setting="resnet18",
        findings=["found"],
        tables=by_category.tables(PAIRS),
        pictures=[Picture("a.png", "a picture")],
        missing=["a run: why"],
    )
    assert report_from_json(report.to_json()) == report
    for text in (markdown(report), make_page([report])):
        for part in ("Beware", "resnet18", "found", "97.50 ± 0.71", "a.png", "a run: why"):
            assert part in text
    assert "<b>" not in make_page([report]) and "table1/a.png" in make_page([report])
    rows = tables_csv(report).splitlines()
    # Three tables of three rows; AUPRO has no columns of the paper and so a header of its own.
    assert len(rows) == 2 + 3 * 3 and rows[1].startswith('"Image AUROC, %",screw,97.50 ± 0.71')


def test_cost_adds_up():
    config = SimpleNamespace(
        data=SimpleNamespace(root="", category="", layout="", validation=0.0),
        train=SimpleNamespace(epochs=10, evaluate_every_epochs=5),
    )
    probe = Probe(20, 0.001, 30.0, 5.0, 10**8, 2 * 10**9)
    requests = [SimpleNamespace(config=config)] * 6
    import reproduction.cost as cost

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost, "find_data", lambda _: SimpleNamespace(train=[None] * 1000))
        assert cost.seconds_of(config, probe) == pytest.approx(30 + 10 + 2 * 5)
        text = describe(requests, probe, 2, keep_checkpoints=False)
        assert "1 ms an image" in text and "about 2.5 minutes" in text
        assert "0.6 GB of disk, and 4 GB more while they run" in text
        text = describe(requests, probe, 2, keep_checkpoints=True)
        assert "and 12 GB more for the checkpoints" in text
    assert [in_words(s) for s in (100, 7200, 200000)] == ["100 seconds", "2.0 hours", "2.3 days"]
