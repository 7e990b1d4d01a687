"""What is said of C8, C9 and C12 in one sentence each, and what to do about it."""

from __future__ import annotations

from bnstudy.analysis.saying import Said, Writer
from bnstudy.analysis.tables import Tables
from bnstudy.chapters.knobs.rules import C8, C9, sharing

FOUND = {
    "gamma in hidden layers minus none": Said(
        "Gamma in the hidden layers changes test accuracy by {}.", "隐藏层加上 gamma，测试准确率改变 {}。"
    ),
    "gamma everywhere minus in hidden layers": Said(
        "In the last layer too it changes it by {}.", "最后一层也加 gamma，再改变 {}。"
    ),
    "epsilon 1e-3 minus 1e-5": Said(
        "Epsilon 0.001 against 0.00001 is {},", "测试准确率之差，epsilon 取 0.001 减取 0.00001 为 {}，"
    ),
    "epsilon 1e-3 minus 1e-11": Said("against 1e-11 {},", "减取 1e-11 为 {}，"),
    "epsilon 1e-3 minus 1e-1": Said("and against 0.1 {}.", "减取 0.1 为 {}。"),
}
ADVICE = {
    "C8": {
        "supported": Said(
            "Before a ReLU leave <code>scale=False</code>, TensorFlow's default.",
            "在 ReLU 之前保留 TensorFlow 的默认值 <code>scale=False</code> 即可。",
        ),
        "": Said(
            "Set <code>scale=True</code>: it is cheap, and that it can go isn't shown.",
            "设 <code>scale=True</code>：代价很小，而且尚无证据表明可以省去。",
        ),
    },
    "C9": {"": Said("Keep the default epsilon; never 0.", "保留默认的 epsilon，但绝不要取 0。")},
    "C12": {
        "": Said(
            "Give the second call the same scope and <code>reuse=True</code>.",
            "第二次调用时使用同一个 scope，并设 <code>reuse=True</code>。",
        )
    },
}


def explored(tables: Tables, write: Writer) -> dict[str, str]:
    """Return what gamma and epsilon change, and what two calls have in common."""
    gamma, epsilon = C8.rules[0].measure(tables), C9.rules[0].measure(tables)
    shared = sharing(tables).set_index("arm")["shared"]
    with_reuse, without = shared.max(), shared.min()
    return {
        "C8": write.say(
            f"Leaving gamma out changes test accuracy by {write.points(gamma)} points.",
            f"去掉 gamma，测试准确率改变 {write.points(gamma)} 个百分点。",
        ),
        "C9": write.say(
            f"The default lies {write.points(epsilon)} points from the best of six epsilons from 1e-11 to 0.1, a "
            "best that noise alone would also find.",
            f"默认值与 1e-11 到 0.1 六个 epsilon 中最好的一个相差 {write.points(epsilon)} 个百分点，而单凭噪声也会选出这样一个“最好”。",
        ),
        "C12": write.say(
            f"With <code>reuse</code> two calls share {write.cite(f'{with_reuse:.0%}')} of their variables, moving "
            f"averages included; without, the second call gets a scope of its own, and they share {write.cite(f'{without:.0%}')}.",
            f"设 <code>reuse</code> 时两次调用共享 {write.cite(f'{with_reuse:.0%}')} 的变量，包括滑动平均；不设时第二次调用另有自己的作用域"
            f"（scope），共享的为 {write.cite(f'{without:.0%}')}。",
        ),
    }
