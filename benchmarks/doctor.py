"""The doctor's error rates: ``python benchmarks/doctor.py [--dataset cifar10] [--json FILE]``.

Injects every fault of ``bnstudy.doctor.faults`` into every judged model, at every severity and seed, makes
every healthy kind, and lets all calls of the doctor look. Checks were developed on other models and seeds
(``--develop`` runs those). torch-audit runs beside if it can be imported. ``--costs`` times the calls.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import bnstudy
from benchmarks import doctor_audit, doctor_costs
from bnstudy.doctor import faults

# Not looked at while checks were written and thresholds chosen.
JUDGED_SEEDS = (101, 102, 103)
DEVELOPED_SEEDS = (0, 1)
# Side of the images, how many of each part, steps of a training.
SIZES = {"digits": (8, 1438, 120), "cifar10": (16, 4000, 200)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=SIZES, default="digits")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every outcome to this file")
    parser.add_argument("--develop", action="store_true", help="the models and seeds to develop on")
    parser.add_argument("--seeds", type=int, nargs="+", help="other seeds")
    parser.add_argument("--workers", type=int, default=2, help="processes, a thread each (default: 2)")
    parser.add_argument(
        "--only", metavar="WORDS", help="faults and healthy kinds whose names hold these words"
    )
    parser.add_argument("--costs", action="store_true", help="time the calls instead")
    options = parser.parse_args()
    if options.costs:
        result: dict[str, Any] = {"torch": torch.__version__, "costs": doctor_costs.costs()}
        doctor_costs.show(result["costs"])
    else:
        result = rates(options)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")


def rates(options: argparse.Namespace) -> dict[str, Any]:
    """Try every case, in processes, and return the outcomes with what they were made with."""
    models = faults.DEVELOPED_ON if options.develop else faults.JUDGED_ON
    seeds = options.seeds or (DEVELOPED_SEEDS if options.develop else JUDGED_SEEDS)
    jobs = [(options.dataset, model, seed, options.only) for model in models for seed in seeds]
    start = time.perf_counter()
    outcomes: list[dict[str, Any]] = []
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for job, found in zip(jobs, pool.map(run, jobs), strict=True):
            print(f"{job[1]}, seed {job[2]}: {len(found)} cases", flush=True)
            outcomes += found
    show(outcomes)
    return {
        "bnstudy": bnstudy.__version__,
        "torch": torch.__version__,
        "torch_audit": doctor_audit.VERSION,
        "dataset": options.dataset,
        "models": list(models),
        "seeds": list(seeds),
        "sizes": dict(zip(("side", "images", "steps"), SIZES[options.dataset], strict=True)),
        "minutes": (time.perf_counter() - start) / 60,
        "workers": options.workers,
        "outcomes": outcomes,
    }


def run(job: tuple[str, str, int, str | None]) -> list[dict[str, Any]]:
    """Try every case of one model and seed."""
    dataset, model, seed, only = job
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    side, images, steps = SIZES[dataset]
    data = faults.Data.of(bnstudy.load_dataset(dataset), side, images)
    lab = faults.Lab(data, model, seed, steps, doctor_audit.observe if doctor_audit.VERSION else None)
    found = []
    for fault in faults.FAULTS:
        for severity in fault.severities if not only or only in fault.name else ():
            found.append(_audited(*faults.try_fault(lab, dataset, fault, severity)))
    for healthy in faults.HEALTHY:
        if not only or only in healthy.name:
            found.append(_audited(*faults.try_healthy(lab, dataset, healthy)))
    return found


def _audited(outcome: faults.Outcome, case: faults.Case) -> dict[str, Any]:
    return {**outcome.as_dict(), "audit": doctor_audit.rules(case)}


def show(outcomes: list[dict[str, Any]]) -> None:
    """Print what was missed and what was a false alarm."""
    detected: dict[str, list[bool]] = {}
    alarms = []
    for row in outcomes:
        codes = {code: worst for said in row["said"].values() for code, worst in said.items()}
        if row["kind"] == "fault":
            detected.setdefault(f"{row['code']}: {row['name']}", []).append(row["code"] in codes)
            if row["code"] not in codes:
                print(
                    "missed", row["name"], row["severity"], row["model"], row["seed"], row["harmful"], codes
                )
        else:
            loud = {code: worst for code, worst in codes.items() if worst != "note"}
            if loud:
                alarms.append(row["name"])
                print("false alarm", row["name"], row["model"], row["seed"], loud)
    for name, found in detected.items():
        print(f"{name:60} {sum(found)} of {len(found)}")
    healthy = sum(row["kind"] == "healthy" for row in outcomes)
    print(f"false alarms: {len(alarms)} of {healthy}")


if __name__ == "__main__":
    main()
