"""C6 and C7, second round: what moving averages win, and what a too large and a too small decay cost.

Reads the core block (arm "batch"), all from one trajectory a seed: ``hits`` and ``hits_index`` of

* the test images at ``CONSTANT_PHASE`` (16 checkpoints): moving of decays 0.9 and 0, and batch;
* the test images at ``LAST_STEPS`` (16 steps): moving of decays 0.9 and 0;
* the test images at ``END``: moving of decay 0.9, and batch;
* the test and the training images at ``LAGGING`` (6 checkpoints): moving of decays 0.9 and 0.999; of the
  test images precise too.

None of the moving averages is debiased: they are what TensorFlow keeps.
"""

from __future__ import annotations

from bnstudy.analysis.judged.contrasts import AtEpochs, Term, minus
from bnstudy.analysis.judged.design import CONSTANT_PHASE, CORE, END, LAGGING, LAST_STEPS
from bnstudy.analysis.judged.parts import Claim, Part, Pilot, Quantity, Reads, Words
from bnstudy.analysis.judged.training import Evaluation

_BATCH = (Reads(CORE, ("batch",)),)

USUAL = ("batch", Evaluation("moving", decay=0.9))
LAST = ("batch", Evaluation("moving", decay=0.0))
LARGE = ("batch", Evaluation("moving", decay=0.999))
OF_TEST_BATCH = ("batch", Evaluation("batch"))
PRECISE = ("batch", Evaluation("precise"))

# What a large decay loses has to be there before anything can win it back.
_LOST = minus(USUAL, LARGE)
_AT_LEAST = 0.03

# Also "a too small decay costs": counted once.
ANNEALED_LAST = Quantity(
    "annealed: decay 0.9 minus decay 0",
    AtEpochs("core", LAST_STEPS, minus(USUAL, LAST)),
    _BATCH,
    "points",
    0.003,
    Pilot(0.013, 0.004, 0.0005),
)

# Also C10 at a test batch of 128: counted once.
ANNEALED_BATCH = Quantity(
    "annealed: decay 0.9 minus the test batch's own",
    AtEpochs("core", END, minus(USUAL, OF_TEST_BATCH)),
    _BATCH,
    "points",
    0.003,
    Pilot(0.0098, 0.0027, 0.0009),
)

CONSTANT_LAST = Quantity(
    "constant rate: decay 0.9 minus decay 0",
    AtEpochs("core", CONSTANT_PHASE, minus(USUAL, LAST)),
    _BATCH,
    "points",
    0.003,
    Pilot(0.003, 0.004, 0.0005),
)

CONSTANT_BATCH = Quantity(
    "constant rate: decay 0.9 minus the test batch's own",
    AtEpochs("core", CONSTANT_PHASE, minus(USUAL, OF_TEST_BATCH)),
    _BATCH,
    "points",
    0.003,
    Pilot(-0.005, 0.004, 0.0006),
)

C6 = Claim(
    "C6",
    (
        Part("annealed, against the last batch", ANNEALED_LAST, "above", 0.005),
        Part("annealed, against the test batch", ANNEALED_BATCH, "above", 0.005),
        Part("constant rate, against the last batch", CONSTANT_LAST, "above", 0.0),
        Part("constant rate, against the test batch", CONSTANT_BATCH, "above", 0.0),
    ),
)

# a(precise) - 0.9 a(.9) - 0.1 a(.999) is above 0 if and only if a(precise) - a(.999) is more than
# 0.9 (a(.9) - a(.999)): a ratio's question without a ratio, whose denominator may be small.
WON_BACK = Quantity(
    "lost by decay 0.999 and won back with the same weights",
    AtEpochs(
        "core",
        LAGGING,
        (Term(1.0, *PRECISE), Term(-0.9, *USUAL), Term(-0.1, *LARGE)),
        telling=_LOST,
        at_least=_AT_LEAST,
    ),
    _BATCH,
    "points",
    0.003,
    Pilot(0.03, 0.008, 0.0006),
)

# Overfitting is what test images lose and training images don't.
LOST_IN_TRAINING = Quantity(
    "lost by decay 0.999 on training images too",
    AtEpochs(
        "core",
        LAGGING,
        (
            Term(1.0, "batch", Evaluation("moving", "train", 0.9)),
            Term(-1.0, "batch", Evaluation("moving", "train", 0.999)),
            Term(-0.9, *USUAL),
            Term(0.9, *LARGE),
        ),
        telling=_LOST,
        at_least=_AT_LEAST,
    ),
    _BATCH,
    "points",
    0.003,
    Pilot(0.02, 0.004, 0.002),
)

C7 = Claim(
    "C7",
    (
        Part("too small a decay costs accuracy", ANNEALED_LAST, "above", 0.005),
        Part("what too large a decay loses is overfitting", WON_BACK, "below", 0.0),
        Part("training images don't lose it", LOST_IN_TRAINING, "below", 0.0),
    ),
)

CLAIMS = (C6, C7)

WORDS = {
    "C6": Words(
        "为了更好的效果,我们使用平滑指数衰减的方法来优化每次的均值和方差",
        "An exponential moving average of the per-batch mean and variance gives better results.",
        {
            "annealed, against the last batch": (
                "After annealing, moving averages of decay 0.9 beat the statistics of one training batch by "
                "half a point of test accuracy.",
                "学习率退火后，用衰减率 0.9 的滑动平均，测试准确率比用单个训练批的统计量高半个百分点以上。",
            ),
            "annealed, against the test batch": (
                "After annealing, moving averages of decay 0.9 beat the test batch's own statistics by half "
                "a point.",
                "学习率退火后，用衰减率 0.9 的滑动平均，测试准确率比用测试批自身的统计量高半个百分点以上。",
            ),
            "constant rate, against the last batch": (
                "At a constant learning rate, moving averages of decay 0.9 beat the statistics of one "
                "training batch.",
                "恒定学习率下，用衰减率 0.9 的滑动平均，测试准确率高于用单个训练批的统计量。",
            ),
            "constant rate, against the test batch": (
                "At a constant learning rate, moving averages of decay 0.9 beat the test batch's own "
                "statistics.",
                "恒定学习率下，用衰减率 0.9 的滑动平均，测试准确率高于用测试批自身的统计量。",
            ),
        },
        {
            "annealed, against the last batch": "Half a point is the smallest difference of practical use.",
            "annealed, against the test batch": "Half a point is the smallest difference of practical use.",
            "constant rate, against the last batch": "Whether staleness costs more than smoothing wins: a "
            "sign.",
            "constant rate, against the test batch": "Whether staleness costs more than smoothing wins: a "
            "sign.",
        },
    ),
    "C7": Words(
        "值太小会导致更新太快,值太大会导致几乎没有衰减,容易出现过拟合",
        "Too small a `decay` updates the averages too fast; too large a one hardly at all, and overfitting "
        "comes easily.",
        {
            "too small a decay costs accuracy": (
                "The statistics of the last batch alone (decay 0) cost half a point against decay 0.9.",
                "只用最后一批的统计量（衰减率 0），测试准确率比衰减率 0.9 低半个百分点以上。",
            ),
            "what too large a decay loses is overfitting": (
                "Less than nine tenths of what decay 0.999 loses comes back when the same weights get "
                "precise statistics.",
                "同一组权重换用精确统计量后，能恢复的准确率不到衰减率 0.999 所致下降的九成。",
            ),
            "training images don't lose it": (
                "Training images lose less than nine tenths of what test images lose.",
                "衰减率 0.999 使训练准确率下降的幅度，不到测试准确率下降幅度的九成。",
            ),
        },
        {
            "too small a decay costs accuracy": "Half a point is the smallest difference of practical use.",
            "what too large a decay loses is overfitting": "Overfitting is in the weights: no other "
            "statistics could win it back. With a for test accuracy, a(precise) − 0.9 a(0.9) − 0.1 a(0.999) "
            "is above 0 exactly where precise statistics win back more than 0.9 of a(0.9) − a(0.999): "
            "a ratio's question without a ratio.",
            "training images don't lose it": "Overfitting lowers test accuracy and not training accuracy.",
        },
    ),
}
