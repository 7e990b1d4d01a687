"""The article's network: its shapes, and its quirks as options."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from bnstudy.network import ArticleNet, max_pool_2x2


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "group"}, "norm is 'group'; allowed: 'batch', 'none'"),
        ({"initialisation": "he"}, "initialisation is 'he'; allowed: 'article', 'default'"),
        ({"decay": 1.5}, "decay is 1.5; allowed: 0 to 1"),
        ({"epsilon": 0.0}, "epsilon is 0.0; allowed: a number above 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        net(**options)
