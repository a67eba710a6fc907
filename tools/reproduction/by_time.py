"""Table II: what L_var costs in training time."""

from collections.abc import Sequence

from reproduction import paper
from reproduction.experiments import RD, RD_L_VAR
from reproduction.findings import interval
from reproduction.paired import Difference, paired_difference
from reproduction.report import Table, plus_minus, signed, spread
from reproduction.sweep import Outcome

# Cores that other processes may keep busy before times mean little.
QUIET = 0.1


def seconds(outcomes: Sequence[Outcome], variant: str, key: str) -> dict[str, dict[int, float]]:
    """A time of a variant's runs by category and seed; resumed runs have none to compare."""
    found: dict[str, dict[int, float]] = {}
    for outcome in outcomes:
        timing = outcome.timing
        if outcome.variant == variant and not timing["resumed"] and timing[key] is not None:
            found.setdefault(outcome.category, {})[outcome.seed] = timing[key]
    return found


def overhead(outcomes: Sequence[Outcome]) -> Difference | None:
    """By how many percent a step with L_var takes longer, paired by category and seed."""
    first, second = (
        seconds(outcomes, variant.name, "seconds_per_step") for variant in (RD, RD_L_VAR)
    )
    hundred = {category: dict.fromkeys(of, 100.0) for category, of in first.items()}
    relative = {
        category: {
            seed: 100 * value / first[category][seed]
            for seed, value in of.items()
            if seed in first.get(category, {})
        }
        for category, of in second.items()
    }
    return paired_difference(hundred, relative)


def tables(outcomes: Sequence[Outcome]) -> list[Table]:
    """Milliseconds a step, and seconds of training, by category."""
    result = []
    for key, caption, factor in (
        ("seconds_per_step", "Milliseconds a train step, median", 1000.0),
        ("train_seconds", "Seconds of `rdvar train` from start to end", 1.0),
    ):
        columns = [seconds(outcomes, variant.name, key) for variant in (RD, RD_L_VAR)]
        rows = []
        for category in dict.fromkeys(outcome.category for outcome in outcomes):
            scaled = [
                {seed: factor * value for seed, value in column.get(category, {}).items()}
                for column in columns
            ]
            rows.append([category, *map(spread, scaled)])
        result.append(Table(caption, ["category", RD.name, RD_L_VAR.name], rows))
    return result


def findings(outcomes: Sequence[Outcome]) -> list[str]:
    """The overhead in one sentence, and whether the machine was quiet."""
    pair = overhead(outcomes)
    sentences = [
        f"The paper prints {paper.TABLE2_SECONDS[0]} s and {paper.TABLE2_SECONDS[1]} s, with the "
        f"two columns swapped, and says {paper.TABLE2_OVERHEAD} % more with L_var."
    ]
    if pair is None:
        return ["No pair of runs went through without a stop, so no time is compared.", *sentences]
    sentences.append(
        "A run with λ = 0 computes L_var too, for its log; what it saves is the gradient. "
        "docs/performance.md has the step without any of it."
    )
    busiest = max(outcome.timing["others_cores"] or 0.0 for outcome in outcomes)
    sentences.insert(
        0,
        f"A step with L_var takes {signed(pair.mean)} % more time than one without (95 % interval "
        f"{interval(pair)}, {pair.num_pairs} pairs of runs).",
    )
    if busiest > QUIET:
        sentences.append(
            f"Other processes kept up to {plus_minus(busiest, None)} cores busy during these runs: "
            "the times are those of a shared machine, and differences of a few percent mean "
            "nothing. tools/benchmark.py --only l_var measures the two steps in turn."
        )
    return sentences
