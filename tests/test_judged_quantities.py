"""What quantities read off recorded trainings: sums by hand, with what is late, dead or missing planted."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bnstudy.analysis.judged.contrasts import AtEpochs, AtEqualTraining, EarlyStopped, Term, minus
from bnstudy.analysis.judged.example import SEEDS, example
from bnstudy.analysis.judged.probed import Diverges, LargestGradient, Probe, Probed
from bnstudy.analysis.judged.times import StepCost, StepsToTargets, TimeToTargets
from bnstudy.analysis.judged.training import Evaluation, NotTestedError, Training
from bnstudy.analysis.tables import NotMeasuredError
from bnstudy.chapters.judged import family

EPOCH = 10.0  # steps
MOVING, LAST, PRECISE = (
    Evaluation("moving", decay=0.9),
    Evaluation("moving", decay=0.0),
    Evaluation("precise"),
)


def row(step, evaluation, **more):
    return {
        "step": step,
        "split": evaluation.split,
        "statistics": evaluation.statistics,
        "decay": math.nan if evaluation.decay is None else evaluation.decay,
        "zero_debias": "" if evaluation.decay is None else "none",
        "order": "" if evaluation.test_batch_size is None else "shuffled",
        "test_batch_size": math.nan if evaluation.test_batch_size is None else evaluation.test_batch_size,
        **more,
    }


def training(evaluated, checkpoints=(), images=16, seed=0, diverged=False):
    """A training with random hits: evaluated (step, evaluation) pairs, and those hits by pair."""
    random = np.random.default_rng(seed)
    bits = random.integers(0, 2, size=(len(evaluated), images))
    index = pd.DataFrame([row(*e, images=images) for e in evaluated])
    tables = {"hits_index": index, "checkpoints": pd.DataFrame(checkpoints)}
    made = Training(diverged, EPOCH, tables, np.packbits(bits.astype(np.uint8), axis=1))
    return made, dict(zip(evaluated, bits, strict=True))


def block(**arms):
    """Blocks with one block "b": arms of trainings, seeds 100 on."""
    return {"b": {name: {100 + i: t for i, t in enumerate(each)} for name, each in arms.items()}}


def test_a_contrast_is_the_mean_over_epochs_of_weighted_hits_image_by_image():
    evaluated = [(s, e) for s in (10, 20, 35) for e in (MOVING, LAST, PRECISE)]
    made = [training(evaluated, seed=s) for s in range(4)]
    terms = (Term(1.0, "x", PRECISE), Term(-0.9, "x", MOVING), Term(-0.1, "x", LAST))
    [component] = AtEpochs("b", (1.0, 3.5), terms)(block(x=[t for t, _ in made])).components
    [table] = component.images
    for i, (_, hits) in enumerate(made):
        by_hand = [hits[s, PRECISE] - 0.9 * hits[s, MOVING] - 0.1 * hits[s, LAST] for s in (10, 35)]
        np.testing.assert_allclose(table[i], np.mean(by_hand, axis=0))
        assert component.values[i] == pytest.approx(np.mean(by_hand))


def test_splits_are_sets_of_images_of_their_own():
    train = replace(MOVING, split="train")
    made = [training([(10, MOVING), (10, train)], seed=s) for s in range(3)]
    terms = (Term(1.0, "x", train), Term(-0.9, "x", MOVING))
    [component] = AtEpochs("b", (1.0,), terms)(block(x=[t for t, _ in made])).components
    assert len(component.images) == 2
    for i, (_, hits) in enumerate(made):
        assert component.values[i] == pytest.approx(hits[10, train].mean() - 0.9 * hits[10, MOVING].mean())


def test_only_epochs_at_which_there_is_something_to_explain_count():
    made = []
    for seed in range(3):
        t, hits = training([(s, e) for s in (10, 20) for e in (MOVING, LAST)], seed=seed, images=200)
        t.hits[1] = t.hits[0]  # nothing is lost at step 10
        t.hits[3] = 0  # all is lost at step 20
        made.append((t, hits))
    contrast = AtEpochs("b", (1.0, 2.0), (Term(1.0, "x", MOVING),), minus(("x", MOVING), ("x", LAST)), 0.03)
    blocks = block(x=[t for t, _ in made])
    sample = contrast(blocks)
    assert sample.counted == {"checkpoints": 1}
    np.testing.assert_allclose(sample.components[0].values, [h[20, MOVING].mean() for _, h in made])
    with pytest.raises(NotTestedError, match="at no checkpoint"):
        replace(contrast, at_least=0.9)(blocks)


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        (Evaluation("batch"), "0 rows"),
        (replace(MOVING, decay=0.99), "0 rows"),
        (replace(MOVING, split="train"), "0 rows"),
        (Evaluation("batch", test_batch_size=8), "0 rows"),
    ],
)
def test_what_is_not_evaluated_is_missing_and_never_something_alike(evaluation, message):
    made, _ = training([(10, MOVING), (10, Evaluation("batch", test_batch_size=4))])
    with pytest.raises(NotMeasuredError, match=message):
        AtEpochs("b", (1.0,), (Term(1.0, "x", evaluation),))(block(x=[made]))


def test_an_evaluation_that_is_there_twice_is_refused():
    made, _ = training([(10, MOVING)])
    twice = pd.concat([made.tables["hits_index"]] * 2)
    again = Training(False, EPOCH, {"hits_index": twice}, np.repeat(made.hits, 2, axis=0))
    with pytest.raises(NotMeasuredError, match="2 rows"):
        AtEpochs("b", (1.0,), (Term(1.0, "x", MOVING),))(block(x=[again]))


def test_a_seed_with_one_arm_alone_is_refused():
    made = [training([(10, MOVING)], seed=s)[0] for s in range(3)]
    blocks = block(x=made, y=made[:2])
    with pytest.raises(NotMeasuredError, match="arm 'y': seeds 102 are missing"):
        AtEpochs("b", (1.0,), minus(("x", MOVING), ("y", MOVING)))(blocks)


def test_a_diverged_training_is_right_by_chance():
    alive, hits = training([(10, MOVING)], seed=1)
    dead = Training(True, math.nan, {})
    [component] = AtEpochs("b", (1.0,), minus(("x", MOVING), ("y", MOVING)))(
        block(x=[alive, dead], y=[dead, dead])
    ).components
    np.testing.assert_allclose(component.values, [hits[10, MOVING].mean() - 0.1, 0.0])
    [gone] = AtEpochs("b", (1.0,), minus(("x", MOVING), ("y", MOVING)))(block(x=[dead], y=[dead])).components
    assert not gone.images


def course(accuracy, split):
    return [row(10 * (i + 1), replace(MOVING, split=split), accuracy=a) for i, a in enumerate(accuracy)]


def small_data(train, validation=(0.1, 0.2, 0.3, 0.3, 0.2), seed=0):
    evaluated = [(10 * (i + 1), MOVING) for i in range(5)]
    return training(evaluated, course(train, "train") + course(validation, "validation"), seed=seed)


def test_stopping_early_is_by_validation_and_the_earliest_of_the_best():
    (x, x_hits), (y, y_hits) = small_data([1] * 5, seed=1), small_data([1] * 5, (0.5, 0.1, 0.1, 0.1, 0.1), 2)
    [component] = EarlyStopped("b", ("x", MOVING), ("y", MOVING))(block(x=[x], y=[y])).components
    assert component.values[0] == pytest.approx(x_hits[30, MOVING].mean() - y_hits[10, MOVING].mean())


@pytest.mark.parametrize(
    ("first", "second", "steps", "below"),
    [
        # Both have held for two evaluations at step 40.
        ((0.5, 1.0, 1.0, 1.0, 1.0), (0.5, 0.6, 1.0, 1.0, 1.0), (40, 40), 0),
        # Falling below starts the count anew.
        ((1.0, 1.0, 1.0, 1.0, 1.0), (1.0, 0.9, 1.0, 0.9999, 1.0), (40, 40), 0),
        # The second never gets there: the first to 0.9 of each.
        ((0.5, 0.95, 1.0, 1.0, 1.0), (0.5, 0.6, 0.7, 0.9, 0.8), (20, 40), 1),
        # A single evaluation above doesn't hold: both reach 1.0, the second last.
        ((1.0, 1.0, 1.0, 1.0, 1.0), (0.5, 0.6, 0.7, 0.9, 1.0), (10, 50), 1),
    ],
)
def test_test_accuracy_is_compared_where_training_accuracy_is_equal(first, second, steps, below):
    (x, x_hits), (y, y_hits) = small_data(first, seed=1), small_data(second, seed=2)
    rule = AtEqualTraining("b", ("x", MOVING), ("y", MOVING), level=0.999, held=2)
    sample = rule(block(x=[x], y=[y]))
    expected = x_hits[steps[0], MOVING].mean() - y_hits[steps[1], MOVING].mean()
    assert sample.components[0].values[0] == pytest.approx(expected)
    assert sample.counted == {"pairs below the level": below}


def arrivals(accuracy, statistics, steps=(1, 2, 4, 8, 16, 32)):
    frame = pd.DataFrame({"step": steps, "split": "test", "statistics": statistics, "accuracy": accuracy})
    return Training(False, EPOCH, {"arrivals": frame})


SLOW, FAST = (0.1, 0.1, 0.3, 0.4, 0.6, 0.8), (0.1, 0.3, 0.5, 0.7, 0.8, 0.9)
STEPS = StepsToTargets("b", ("none", "none"), ("batch", "moving"), (0.35,), arriving=0.5)


def times(slow, fast):
    return block(none=[arrivals(a, "none") for a in slow], batch=[arrivals(a, "moving") for a in fast])


def test_an_arrival_is_interpolated_in_the_logarithm_of_the_step():
    # Medians of three: .1 .3 .4 .6 and .3 .5 .7 .8, for these courses.
    [component] = STEPS(times([SLOW], [FAST])).components
    slow, fast = 2 + 0.5, 1 + 0.25  # log2
    assert component.values[0] == pytest.approx(slow - fast)
    assert not component.at_least
    assert not component.at_most


def test_one_lucky_evaluation_is_no_arrival():
    lucky = (0.1, 0.9, 0.1, 0.4, 0.6, 0.8)
    [component] = STEPS(times([lucky], [FAST])).components
    # At the second step the median is .1, and .4 at the third.
    assert component.values[0] == pytest.approx(1 + 0.25 / 0.3 - 1.25)


NEVER = (0.1, 0.1, 0.1, 0.1, 0.2, 0.2)


def test_who_never_arrives_counts_as_the_horizon_and_leaves_the_ratio_open():
    sample = STEPS(times([NEVER, SLOW], [FAST, FAST]))
    [component] = sample.components
    assert component.values[0] == pytest.approx(5 - 1.25)
    assert component.at_least
    assert not component.at_most
    assert sample.counted == {"targets": 1, "slow late": 1, "fast late": 0}
    [component] = STEPS(times([SLOW, SLOW], [NEVER, FAST])).components
    assert component.at_most
    assert not component.at_least


def test_a_target_that_too_few_reach_does_not_count():
    rule = replace(STEPS, targets=(0.35, 0.75), arriving=0.6)
    half = [SLOW, (*SLOW[:-1], 0.7)]
    sample = rule(times(half, [FAST, FAST]))
    assert sample.counted["targets"] == 1
    alone = STEPS(times(half, [FAST, FAST])).components[0].values
    np.testing.assert_allclose(sample.components[0].values, alone)
    with pytest.raises(NotTestedError, match="no target"):
        rule(times([NEVER, NEVER], [FAST, FAST]))


def test_a_diverged_training_never_arrives():
    blocks = times([SLOW, SLOW], [FAST, FAST])
    blocks["b"]["none"][101] = Training(True, math.nan, {})
    [component] = STEPS(blocks).components
    assert component.at_least
    assert component.values[1] == pytest.approx(5 - 1.25)


def process(**seconds):
    rows = [{"arm": arm, "round": r, "seconds_per_step": s} for arm, each in seconds.items() for r, s in each]
    return Training(False, math.nan, {"cost": pd.DataFrame(rows)})


def test_a_processs_cost_is_the_median_of_its_rounds_ratios():
    one = process(a=[(1, 2.0), (3, 80.0), (2, 4.0)], b=[(2, 1.0), (1, 1.0), (3, 10.0)])
    cost = StepCost("b", "a", "b")
    [component] = cost(block(all=[one])).components
    assert component.values[0] == pytest.approx(2.0)  # of log2 2, 4 and 8
    blocks = {**times([SLOW], [FAST]), "c": block(all=[one])["b"]}
    both = TimeToTargets(STEPS, replace(cost, block="c"))(blocks)
    assert sum(c.values[0] for c in both.components) == pytest.approx(1.25 + 2.0)


def probed(values, table="t", quantity="q", layers=("l1", "l2"), diverged=False):
    """A training whose probe saw ``values`` [layers][steps]."""
    rows = [
        {"step": s, "layer": layer, "quantity": quantity, "value": v}
        for layer, each in zip(layers, values, strict=True)
        for s, v in enumerate(each)
    ]
    return Training(diverged, EPOCH, {table: pd.DataFrame(rows)})


def test_layers_are_averaged_over_steps_first_then_over_layers_then_over_trainings():
    blocks = {
        "b": {
            "x, sgd": {100: probed([[1, 4], [16, 16]])},
            "x, adam": {100: probed([[2, 2], [2, 2]])},
            "y, sgd": {100: probed([[1, 1], [1, 1]])},
            "y, adam": {100: probed([[1, 1], [1, 4]])},
        }
    }
    rule = Probed("b", Probe("t", "q", ("l1", "l2")), "x", "y", ("sgd", "adam"), "factor")
    [component] = rule(blocks).components
    assert component.values[0] == pytest.approx(((1 + 4) / 2 + 1) / 2 - (0 + (0 + 1) / 2) / 2)
    [component] = replace(rule, scale="number", second="")(blocks).components
    assert component.values[0] == pytest.approx(((2.5 + 16) / 2 + 2) / 2)
    with pytest.raises(NotMeasuredError, match="l3"):
        replace(rule, probe=Probe("t", "q", ("l1", "l3")))(blocks)


def test_no_angle_between_gradients_that_are_zero():
    ics = "internal_covariate_shift"
    still = probed([[1.0, 1.0]], ics, "cosine", ("l1",))
    norms = pd.DataFrame({"step": [0, 1], "layer": "l1", "quantity": "ics", "value": [0.5, 0.0]})
    dead = Training(False, EPOCH, {ics: pd.concat([still.tables[ics], norms])})
    blocks = {"b": {"x, sgd": {100: dead}}}
    sample = Probed("b", Probe(ics, "cosine", ("l1",)), "x", "", ("sgd",))(blocks)
    assert math.isnan(sample.components[0].values[0])
    assert sample.counted == {"undefined": 1}


GRADIENT = LargestGradient("b", "fresh", "frozen", ("sgd",), Probe("t", "q", ("l1", "l2")), manipulated=1.5)


def gradients(norms, shift, diverged=False):
    made = probed([[shift] * 2] * 2, diverged=diverged)
    found = probed([norms], "gradient_health", "total_norm", ("",))
    return Training(diverged, EPOCH, {**made.tables, **found.tables})


def test_the_largest_gradient_of_a_run_over_that_of_another():
    blocks = {
        "b": {
            "fresh, sgd": {100: gradients([1, 8, 2], 2.0)},
            "frozen, sgd": {100: gradients([2, 1, 1], 1.0)},
        }
    }
    [component] = GRADIENT(blocks).components
    assert component.values[0] == pytest.approx(2.0)
    blocks["b"]["frozen, sgd"][100] = gradients([2, 1, 1], 1.5)
    with pytest.raises(NotTestedError, match=r"1\.33 times"):
        GRADIENT(blocks)


def test_a_gradient_beyond_numbers_is_larger_than_was_seen():
    def arms(fresh, frozen):
        return {"b": {"fresh, sgd": {100: fresh}, "frozen, sgd": {100: frozen}}}

    [component] = GRADIENT(arms(gradients([1, 8, math.inf], 2.0), gradients([2], 1.0))).components
    assert component.values[0] == pytest.approx(2.0)
    assert component.at_least
    [component] = GRADIENT(arms(gradients([4], 2.0), gradients([2, math.nan], 1.0))).components
    assert component.at_most
    # One that diverged counts by what it was before, for the check of the manipulation too.
    [component] = GRADIENT(arms(gradients([4, 8], 2.0, diverged=True), gradients([2], 1.0))).components
    assert component.values[0] == pytest.approx(2.0)
    assert component.at_least
    with pytest.raises(NotTestedError, match="nan times"):
        GRADIENT(arms(Training(True, math.nan, {}), gradients([2], 1.0)))


def test_divergence_is_counted_where_there_is_some_to_prevent():
    def ended(*diverged):
        return [Training(d, EPOCH, {}) for d in diverged]

    rule = Diverges("b", "turn", "once", share=0.75)
    found = rule(block(turn=ended(True, False, True, False), once=ended(True, True, True, False)))
    assert (found.yes, found.of) == (2, 4)
    with pytest.raises(NotTestedError, match="2 of 4 seeds of 'once' diverge"):
        rule(block(turn=ended(True, False, True, False), once=ended(True, True, False, False)))


@pytest.mark.parametrize("name", family())
def test_what_a_quantity_does_not_name_decides_nothing(name):
    """Arms are named beforehand: no quantity takes the best of several, and none reads another arm."""
    quantity = family()[name]
    study = example(quantity.estimate, quantity.places())
    named = [arm for _, arms in quantity.reads for arm in arms]
    assert {arm for arms in study.values() for arm in arms} == set(named)
    if quantity.scale == "points":
        assert len(named) <= 2
    if len(named) > 1:
        for arms in study.values():
            for arm in arms:
                without = {b: {a: t for a, t in each.items() if a != arm} for b, each in study.items()}
                with pytest.raises(NotMeasuredError):
                    quantity.estimate(without)
    assert len(SEEDS) >= 8
