"""C10, second round: `is_training` at test time.

Reads the core block (arm "batch") at ``END``: ``hits`` and ``hits_index`` of the test images with moving
averages of decay 0.9, and with the moments of shuffled test batches of 4 (statistics "batch", order
"shuffled", test_batch_size 4). Test batches of 128 are C6's quantity; the whole range of sizes is shown
without a verdict.
"""

from __future__ import annotations

from bnstudy.analysis.judged.contrasts import AtEpochs, minus
from bnstudy.analysis.judged.design import CORE, END
from bnstudy.analysis.judged.parts import Claim, Part, Pilot, Quantity, Reads, Verified, Words
from bnstudy.analysis.judged.training import Evaluation

FALSE = ("batch", Evaluation("moving", decay=0.9))
TRUE = ("batch", Evaluation("batch", test_batch_size=4))

SMALL_BATCHES = Quantity(
    "is_training False minus True in test batches of 4",
    AtEpochs("core", END, minus(FALSE, TRUE)),
    (Reads(CORE, ("batch",)),),
    "points",
    0.015,
    Pilot(0.17, 0.012, 0.003),
)

C10 = Claim(
    "C10",
    (Part("small test batches", SMALL_BATCHES, "above", 0.02),),
    # That False uses the averages is what it means; whether one must use them is the question.
    (Verified("what the flag does", True, "tests/test_settled.py::test_what_the_flag_does", votes=False),),
)

CLAIMS = (C10,)

WORDS = {
    "C10": Words(
        "当测试时,要设置为False",
        "At test time `is_training` must be False, so that the statistics of training are used.",
        {
            "small test batches": (
                "In test batches of 4, True loses at least 2 points of test accuracy against False.",
                "测试批大小为 4 时，设为 True 的测试准确率比设为 False 至少低 2 个百分点。",
            ),
            "what the flag does": (
                "False uses the moving averages; True uses the test batch's own statistics, so that an "
                "image's class depends on its neighbours.",
                "False 使用滑动平均；True 使用测试批自身的统计量，因此一张图像的类别取决于同批的其他图像。",
            ),
        },
        {
            "small test batches": "Two points are a loss that nobody would overlook, at a size met in "
            "practice."
        },
    )
}
