"""The article's network: its shapes, and its quirks as options."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from bnstudy.norm.noise import noisy
from bnstudy.train.network import ArticleNet, max_pool_2x2


def net(**options):
    return ArticleNet(generator=torch.Generator().manual_seed(0), **options)


def test_shapes_are_the_codes_not_the_comments():
    model = net()
    for training in (True, False):
        shapes = []
        hooks = [
            block.register_forward_hook(lambda _, __, out, seen=shapes: seen.append(tuple(out.shape[1:])))
            for block in model.blocks
        ]
        assert model.train(training)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
        assert shapes == [(64, 16, 16), (64, 8, 8), (32, 4, 4), (16, 2, 2), (10, 2, 2)]
        for hook in hooks:
            hook.remove()
    weights = [tuple(b.conv.weight.shape) for b in model.blocks]
    assert weights == [(64, 3, 3, 3), (64, 64, 3, 3), (32, 64, 3, 3), (16, 32, 3, 3), (10, 16, 3, 3)]


def test_relu_on_the_logits():
    x = torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert (net()(x) >= 0).all()
    assert (net(relu_on_logits=False)(x) < 0).any()


def test_a_bias_before_batch_norm_is_cancelled():
    x = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with_bias, without = net().double(), net(conv_bias=False).double()
    for a, b in zip(with_bias.blocks, without.blocks, strict=True):
        b.conv.weight.data.copy_(a.conv.weight.data)
    torch.testing.assert_close(with_bias(x), without(x))


def test_article_initialisation():
    model = net()
    for block in model.blocks:
        assert block.conv.weight.abs().max() <= 0.2
        assert (block.conv.bias == 0.1).all()
    spread = model.blocks[1].conv.weight.std().item()
    assert spread == pytest.approx(0.08796, rel=0.01)  # a normal of deviation 0.1, cut at two deviations
    assert net(initialisation="default").blocks[1].conv.weight.abs().max() <= (64 * 9) ** -0.5


def test_paired_arms_start_alike():
    a, b = net(norm="batch"), net(norm="none")
    for x, y in zip(a.blocks, b.blocks, strict=True):
        assert torch.equal(x.conv.weight, y.conv.weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_pooling_first_changes_no_bit(dtype, norm):
    """Evaluation pools before it normalises; the plain order must give the same bits."""
    model = net(norm=norm).eval()
    for layer in model.norm_layers():
        layer.moving_mean.normal_(generator=torch.Generator().manual_seed(2))
        layer.moving_variance.uniform_(0.1, 3, generator=torch.Generator().manual_seed(3))
    x = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(dtype)
    expected = x
    for block in model.blocks:
        y = F.conv2d(expected, block.conv.weight.to(dtype), block.conv.bias.to(dtype), padding=1)
        y = F.relu(block.norm(y))
        expected = F.max_pool2d(y, 2) if block.pool else y
    with torch.no_grad():
        assert torch.equal(model(x), expected.float().mean((2, 3)))


def test_the_shared_start_changes_no_bit():
    model = net().eval()
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(model.finish(model.start(x)), model(x))


def test_pooling_without_gradients_is_pooling():
    x = torch.randn(3, 5, 8, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(max_pool_2x2(x), F.max_pool2d(x, 2))


def images(n, members=1, dtype=torch.float32, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3 * members, 32, 32, generator=generator, dtype=dtype)
    return x.contiguous(memory_format=torch.channels_last)


def seeded(seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm": "none", "initialisation": "default"},
        {"norm": "noisy", "scale": True},
        {"dropout": 0.3, "dropout_place": "before_norm", "norm_last": False},
        {"dropout": 0.3, "renorm": True, "renorm_clipping": {"rmax": 2.0, "dmax": 1.0}},
    ],
)
def test_members_side_by_side_compute_what_each_computes_alone(options, training):
    seeds = [4, 7, 9]
    wide = ArticleNet(members=3, generator=seeded(seeds), noise_generator=seeded(seeds), **options)
    x = images(4, members=3, dtype=torch.float64)
    together = wide.double().train(training)(x).reshape(4, 3, 10)
    for i, (seed, own) in enumerate(zip(seeds, x.chunk(3, 1), strict=True)):
        alone = ArticleNet(generator=seeded([seed]), noise_generator=seeded([seed]), **options)
        expected = alone.double().train(training)(own)
        torch.testing.assert_close(together[:, i], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("place", ["before_norm", "after_norm"])
def test_dropout_drops_in_the_hidden_layers_and_keeps_the_mean(place):
    probability = 0.3
    model = net(dropout=probability, dropout_place=place, noise_generator=torch.Generator().manual_seed(0))
    seen = []
    for block in model.blocks:
        module = block.before_norm if place == "before_norm" else block.after
        if module is not None:
            module.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    model(images(16))
    assert len(seen) == 4
    for given, out in seen:
        kept = out != 0
        torch.testing.assert_close(out[kept], given[kept] / (1 - probability))
        share = kept[given != 0].double().mean().item()
        assert share == pytest.approx(1 - probability, abs=4 * (0.21 / (given != 0).sum().item()) ** 0.5)
    idle = net(dropout=probability, dropout_place=place).eval()
    assert torch.equal(idle(images(4)), net().eval()(images(4)))


def test_norm_last_and_the_sizes_of_options():
    assert len(net(norm_last=False).norm_layers()) == 4
    model = net(epsilon=0.5, scale=True, renorm=True, renorm_clipping={"rmax": 3.0}, renorm_decay=0.9)
    for layer in model.norm_layers():
        assert (layer.epsilon, layer.renorm_clipping, layer.renorm_decay) == (0.5, {"rmax": 3.0}, 0.9)
        assert (layer.gamma == 1).all()


def test_noise_has_the_published_distribution():
    """Santurkar et al. 2018, Algorithm 1: x = 0 shows the shift alone, x = 1 the factor besides."""
    shape = (40, 50, 20, 10)

    def draw(x):
        return noisy(x, torch.Generator().manual_seed(3)).double().transpose(0, 1).flatten(1)

    shift = draw(torch.zeros(shape))
    factor = draw(torch.ones(shape)) - shift
    centre = (shift.amax(1) + shift.amin(1)) / 2  # 8000 values a channel
    assert (centre.abs() <= 0.5).all()
    assert centre.std() == pytest.approx(12**-0.5, rel=0.25)
    torch.testing.assert_close(
        shift.amax(1) - shift.amin(1), torch.full((50,), 0.2).double(), rtol=0.01, atol=0
    )
    torch.testing.assert_close(shift.std(1), torch.full((50,), 0.2 * 12**-0.5).double(), rtol=0.05, atol=0)
    sigma = factor.mean(1)
    assert ((sigma > 1 - 0.005) & (sigma < 1.25 + 0.005)).all()
    assert sigma.std() == pytest.approx(0.25 * 12**-0.5, rel=0.25)
    torch.testing.assert_close(factor.std(1), torch.full((50,), 0.1).double(), rtol=0.05, atol=0)
    assert torch.corrcoef(torch.stack([shift[0], factor[0]]))[0, 1].abs() < 0.05


def test_noise_does_not_depend_on_the_memory_format_and_stops_in_evaluation():
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    outs = [
        noisy(v, torch.Generator().manual_seed(1))
        for v in (x, x.contiguous(memory_format=torch.channels_last))
    ]
    assert torch.equal(*outs)
    model = net(norm="noisy").eval()
    assert torch.equal(model(images(4)), net().eval()(images(4)))
    model.train()
    assert not torch.equal(model(images(4)), model(images(4)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "layer"}, "norm is 'layer'; allowed: 'batch', 'none', 'noisy', 'group'"),
        ({"initialisation": "xavier"}, "initialisation is 'xavier'; allowed: 'article', 'default', 'he'"),
        ({"decay": 1.5}, "decay is 1.5; allowed: 0 to 1"),
        ({"epsilon": 0.0}, "epsilon is 0.0; allowed: a number above 0"),
        ({"dropout": 1.0}, "dropout is 1.0; allowed: 0 to below 1"),
        ({"dropout_place": "last"}, "dropout_place is 'last'; allowed: 'before_norm', 'after_norm'"),
        ({"members": 0}, "members is 0; allowed: an integer of at least 1"),
        (
            {"members": 2, "noise_generator": []},
            "noise_generator has 0 generators; allowed: one for each of 2",
        ),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        net(**options)
