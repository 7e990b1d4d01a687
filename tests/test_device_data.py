"""Images on their device: batches for networks side by side, and subsets with balanced classes."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from bnstudy.train.data import Dataset
from bnstudy.train.feed import DeviceData, Feed, balanced_order, batch_sizes, equal_sizes

CPU = torch.device("cpu")


def colourful(seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (30, 6, 4, 3), dtype=np.uint8)
    images[..., 2] = 7  # a constant channel
    labels = rng.integers(0, 10, 30, dtype=np.uint8)
    return Dataset("any", images[:20], labels[:20], images[20:], labels[20:])


def test_a_column_of_indices_makes_a_members_batch():
    dataset = colourful()
    data = DeviceData(dataset, torch.float64, CPU)
    index = torch.randint(0, 20, (5, 3), generator=torch.Generator().manual_seed(0))
    images, labels = data.train.batch(index)
    x = dataset.x_train.astype(np.float64)
    std = x.std((0, 1, 2))
    expected = (x - x.mean((0, 1, 2))) / np.where(std > 0, std, 1.0)
    for member in range(3):
        own = images[:, 3 * member : 3 * member + 3].permute(0, 2, 3, 1)
        np.testing.assert_allclose(own, expected[index[:, member]], rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(labels[:, member], dataset.y_train[index[:, member]])
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_uint8_on_the_device_gives_the_same_images():
    index = torch.arange(10)[:, None].expand(-1, 2)
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.bfloat16, 2**-8)):
        raw, ready = (DeviceData(colourful(), dtype, CPU, raw=r).test.batch(index) for r in (True, False))
        assert raw[0].dtype == ready[0].dtype == dtype
        torch.testing.assert_close(raw[0], ready[0], rtol=tolerance, atol=tolerance)
        assert torch.equal(raw[1], ready[1])


def test_a_feed_gives_every_image_once_and_starts_again():
    data = DeviceData(colourful(), torch.float32, CPU)
    order = torch.stack([torch.randperm(20, generator=torch.Generator().manual_seed(s)) for s in (0, 1)], 1)
    feed = Feed(data.train, order)
    for expected, following in ((order, None), (order, order.flip(0)), (order.flip(0), None)):
        parts = [feed.take(size) for size in batch_sizes(20, 8)]
        whole = data.train.batch(expected)
        assert torch.equal(torch.cat([x for x, _ in parts]), whole[0])
        assert torch.equal(torch.cat([y for _, y in parts]), whole[1])
        feed.rewind(following)


@given(st.integers(1, 1000), st.integers(1, 300))
def test_batch_sizes(images, size):
    sizes, equal = batch_sizes(images, size), equal_sizes(images, size)
    assert sum(sizes) == sum(equal) == images
    assert set(sizes[:-1]) <= {size}
    assert len(sizes) == len(equal)
    assert max(equal) - min(equal) <= 1
    assert 1 <= min(sizes + equal) <= max(sizes + equal) <= size


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 2**31))
def test_every_beginning_is_balanced(labels, seed):
    order = balanced_order(np.array(labels, dtype=np.uint8), torch.Generator().manual_seed(seed))
    assert sorted(order.tolist()) == list(range(len(labels)))
    totals = np.bincount(labels, minlength=5)
    for n in range(1, len(labels) + 1):
        counts = np.bincount([labels[i] for i in order[:n]], minlength=5)
        unfinished = counts[counts < totals]
        assert (unfinished >= counts.max() - 1).all()


def test_the_seed_decides_which_images():
    labels = np.repeat(np.arange(10, dtype=np.uint8), 20)
    first = [balanced_order(labels, torch.Generator().manual_seed(s))[:50].sort().values for s in (0, 0, 1)]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
