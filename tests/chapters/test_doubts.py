"""What carries a judged answer, found since: recomputed from the records, and said beside the verdict."""

from __future__ import annotations

import math

import numpy as np
import pytest
from bs4 import BeautifulSoup

from bnstudy.analysis.judged.design import CONSTANT_PHASE, STEPS_PER_EPOCH
from bnstudy.chapters.covariate_shift import seen
from bnstudy.chapters.decay.doubts import REST, SHORT, WHOLE
from bnstudy.chapters.doubts import asked_again, doubts
from bnstudy.chapters.front import Front
from bnstudy.chapters.front_hero import DOUBTED
from bnstudy.chapters.judged import claims, family
from bnstudy.chapters.kept import frames_of
from bnstudy.chapters.second_round import doubted, estimates

CONVOLUTIONS = [f"blocks.conv{i}.conv" for i in range(2, 6)]


@pytest.fixture(scope="module")
def built(in_a_build):
    with in_a_build():
        yield


def test_a_doubt_is_of_a_part_that_there_is_and_judges_nothing():
    parts = {(claim.id, part.name): part for claim in claims().values() for part in claim.parts}
    for doubt in doubts():
        part = parts[doubt.claim, doubt.part]
        assert doubt.quantity != part.quantity
        assert doubt.quantity.scale == part.quantity.scale
    assert not asked_again().keys() & family().keys()
    assert len(asked_again()) == len(doubts())


def test_the_last_batch_is_short_at_whole_epochs_alone():
    sizes = [len(batch) for batch in np.array_split(np.arange(50_000), range(128, 50_000, 128))]
    assert len(sizes) == STEPS_PER_EPOCH
    for epoch in CONSTANT_PHASE:
        step = round(epoch * STEPS_PER_EPOCH)
        assert sizes[(step - 1) % STEPS_PER_EPOCH] == (128 if epoch in WHOLE else REST)
    assert sum(epoch == int(epoch) for epoch in CONSTANT_PHASE) == SHORT


def test_without_short_batches_c6_is_what_the_table_of_accuracies_gives(built):
    rows = frames_of("core")["checkpoints"]
    rows = rows[
        (rows["split"] == "test") & (rows["statistics"] == "moving") & (rows["zero_debias"] == "none")
    ]
    rows = rows[(rows["arm"] == "batch") & rows["step"].between(14.2 * STEPS_PER_EPOCH, 18 * STEPS_PER_EPOCH)]
    rows = rows[rows["step"] % STEPS_PER_EPOCH != 0].drop_duplicates(["seed", "step", "decay"])
    by_seed = rows.groupby(["decay", "seed"])["accuracy"].mean()
    apart = by_seed[0.9] - by_seed[0.0]
    _, found = next((d, f) for d, f in doubted("C6") if d.part == "constant rate, against the last batch")
    assert found.estimate.interval.mean == pytest.approx(apart.mean(), abs=1e-6)
    assert np.allclose(found.estimate.values, apart, atol=1e-6)
    # The frozen answer stands, and this one is another.
    assert estimates()["constant rate: decay 0.9 minus decay 0"].interval.low > 0
    assert found.answer == "can't tell"


def test_without_the_first_step_c2_is_what_the_probe_s_table_gives(built):
    rows = frames_of("shift")["internal_covariate_shift"]
    rows = rows[rows["layer"].isin(CONVOLUTIONS) & rows["arm"].isin(["none", "batch"]) & (rows["step"] > 1)]
    wide = rows.pivot_table(
        index=["arm", "seed", "training", "layer", "step"], columns="quantity", values="value"
    )
    cosine = wide["cosine"].where(wide["ics"] != 0).dropna()
    by_layer = cosine.groupby(["arm", "seed", "training", "layer"]).mean()
    by_seed = by_layer.groupby(["arm", "seed"]).mean()
    apart = by_seed["batch"] - by_seed["none"]
    ((_, found),) = doubted("C2")
    assert found.estimate.interval.mean == pytest.approx(apart.mean(), abs=1e-9)
    assert found.estimate.interval.low < 0 < found.estimate.interval.mean


def test_c1_with_more_noise_is_what_the_probes_saw(built):
    runs = seen.noise(frames_of("shift"))
    runs = runs[runs["dose"] == runs["dose"].max()].pivot_table(
        index=["training", "seed"], columns="kind", values="gradient"
    )
    apart = (runs["fresh"] - runs["frozen"]).groupby("seed").mean()
    ((_, found),) = doubted("C1")
    assert np.allclose(found.estimate.values, apart)
    # The bound lies within the judge's interval.
    assert found.estimate.interval.low < math.log2(1.25) < found.estimate.interval.high


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_was_found_since_stands_beside_the_verdict(built, language):
    front = Front(language)
    cards = BeautifulSoup(front.cards(), "html.parser")
    for doubt in doubts():
        found = next(f for d, f in doubted(doubt.claim) if d is doubt)
        mean = found.estimate.interval.mean
        written = {"points": f"{100 * mean:+.2f}", "number": f"{mean:.3f}", "factor": f"{2**mean:.2f}"}
        said = cards.select_one(f"#card-{doubt.claim.lower()} .claim-found").get_text()
        assert (written[doubt.quantity.scale] in said) == doubt.leads, doubt.quantity.name
    hero = BeautifulSoup(front.hero(), "html.parser")
    marked = [row.get_text() for row in hero.select("li > a") if row.get_text().endswith(DOUBTED)]
    assert [name.split()[0] for name in marked] == ["C1", "C2", "C6"]
