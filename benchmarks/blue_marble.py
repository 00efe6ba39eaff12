"""What ranking gains on Blue Marble: the full setting, on both splits and several seeds, with the baseline beside it.

Every run goes through `georanker demo`, and a run that is finished is not run again.

    python benchmarks/blue_marble.py --seeds 0 1 2 --unseen_seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
import statistics
from importlib.metadata import version
from pathlib import Path

from georanker.cli import run_trainer
from georanker.files import write_json
from georanker.report.results_table import figures
from georanker.verbs.demo import demo, experiment_configs

RESULTS = Path(__file__).parent / "results" / "blue_marble.json"
Figures = dict[str, dict[str, float]]


def measured(experiment: str, unseen: bool, seed: int) -> Figures:
    """Return the figures of one run: retrieved, consensus, ranked and oracle."""
    run = Path("runs") / f"{experiment}-{'unseen' if unseen else 'world'}-{seed}"
    demo(experiment, run, seed, unseen)
    rows: Figures = json.loads((run / "metrics.json").read_text())
    config, _ = experiment_configs(experiment)
    flags = [f"--config={config}", f"--data.unseen={unseen}", f"--data.candidates={run / 'candidates'}"]
    baseline = ["--model.backbone=ConsensusBackbone", "--trainer.logger=False", "--verbose=False"]
    found = run_trainer(
        ["test", *flags, *baseline, f"--trainer.default_root_dir={run / 'consensus'}"]
    ).trainer.callback_metrics
    consensus = figures({name: value.item() for name, value in found.items()})["ranked"]
    return {
        "retrieved": rows["retrieved"],
        "consensus": consensus,
        "ranked": rows["ranked"],
        "oracle": rows["oracle"],
    }


def table(runs: list[Figures]) -> list[str]:
    """Return a table in Markdown: the mean over the seeds, and their deviation for what is ranked."""
    names = [name for name in runs[0]["ranked"] if name.startswith("acc@")]
    heads = [*(name.removeprefix("acc@").replace("km", " km") for name in names), "median km"]
    lines = ["| % within | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for row in runs[0]:
        cells = []
        for name in [*names, "median_km"]:
            values = [run[row][name] * (1 if name == "median_km" else 100) for run in runs]
            spread = f" ± {statistics.stdev(values):.1f}" if row == "ranked" and len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}")
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Run, print and write the results."""
    parser = argparse.ArgumentParser(description="What ranking gains on Blue Marble.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the split world")
    parser.add_argument("--unseen_seeds", type=int, nargs="*", default=[0, 1, 2], help="of the split unseen")
    parser.add_argument("--experiment", default="blue_marble")
    arguments = parser.parse_args()
    splits = {"world": arguments.seeds, "unseen": arguments.unseen_seeds}
    results = {
        split: [measured(arguments.experiment, split == "unseen", seed) for seed in seeds]
        for split, seeds in splits.items()
        if seeds
    }
    for split, runs in results.items():
        print(f"\n{split}, seeds {', '.join(map(str, splits[split]))}\n")
        print("\n".join(table(runs)))
        for seed, run in zip(splits[split], runs, strict=True):
            gain = 100 * (run["ranked"]["acc@200km"] - run["retrieved"]["acc@200km"])
            halved = run["ranked"]["median_km"] / run["retrieved"]["median_km"]
            print(f"\nseed {seed}: {gain:+.1f} points within 200 km, median error times {halved:.2f}")
    versions = {name: version(name) for name in ("georanker", "torch", "lightning")}
    content = {"experiment": arguments.experiment, "seeds": splits, "versions": versions, **results}
    write_json(RESULTS, content)


if __name__ == "__main__":
    main()
