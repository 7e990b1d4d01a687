"""``tf.nn``'s convolutions, pools and biases, over images [N, H, W, C]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.infer import make
from bnstudy.tf1.shapes import TensorShape
from bnstudy.tf1.shaping import known_sizes


def bias_add(value: Any, bias: Any, data_format: str | None = None, name: str | None = None) -> Tensor:
    """Add ``bias`` [C] to the last axis."""
    _check_layout({"data_format": data_format or "NHWC"})
    source = convert_to_tensor(value, name="input")
    static = [(source.dtype, source.shape)]
    result: Tensor = make(
        name, "BiasAdd", torch.add, source, convert_to_tensor(bias, name="bias"), static=static
    )
    return result


def xw_plus_b(x: Any, weights: Any, biases: Any, name: str | None = None) -> Tensor:
    """Return ``x @ weights + biases``."""
    graph = get_default_graph()
    with graph.name_scope(name or "xw_plus_b") as scope:
        graph.unique_name("MatMul")
        parts = [convert_to_tensor(t) for t in (x, weights, biases)]
    result: Tensor = make(scope, scope, lambda v, w, b: torch.matmul(v, w) + b, *parts)
    return result


def conv2d(
    input: Any,
    filter: Any = None,
    strides: Sequence[int] | None = None,
    padding: str | None = None,
    use_cudnn_on_gpu: bool = True,
    data_format: str = "NHWC",
    dilations: Sequence[int] = (1, 1, 1, 1),
    name: str | None = None,
    filters: Any = None,
) -> Tensor:
    """Convolve ``input`` [N, H, W, C] with ``filter`` [h, w, C, C_out]: ``"SAME"`` or ``"VALID"``.

    ``filters`` is a later name of ``filter``; ``use_cudnn_on_gpu`` is accepted and ignored. Raises
    ``ValueError`` for another layout or padding, and for sizes that do not fit.
    """
    del use_cudnn_on_gpu
    _check_layout({"data_format": data_format})
    filter = filters if filter is None else filter
    if padding not in ("SAME", "VALID") or strides is None:
        raise ValueError(f"strides is {strides}, padding is {padding!r}; allowed: a list, 'SAME' or 'VALID'")
    if list(dilations) != [1, 1, 1, 1]:
        raise NotImplementedError(f"dilations is {list(dilations)}; allowed here: [1, 1, 1, 1]")
    steps = _spatial(strides, "strides")

    def compute(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        channels_first = x.permute(0, 3, 1, 2)
        sizes = zip(channels_first.shape[2:], w.shape[:2], steps, strict=True)
        pads = [_pads(size, length, step, padding) for size, length, step in sizes]
        even = [before for before, after in pads if before == after]
        if len(even) == 2:  # the convolution pads by itself what is the same on both sides
            inner, around = channels_first, (even[0], even[1])
        else:
            inner, around = _padded(channels_first, w.shape[:2], steps, padding, 0.0), (0, 0)
        out = F.conv2d(inner, w.permute(3, 2, 0, 1), stride=steps, padding=around)
        return out.permute(0, 2, 3, 1)

    source, weights = convert_to_tensor(input), convert_to_tensor(filter)
    window = TensorShape(weights.shape)
    if window[2].value not in (None, source.shape[-1].value) and source.shape[-1].value is not None:
        raise ValueError(
            f"Depth of input ({source.shape[-1]}) is not the filter's ({window[2]}); input {source.shape}, "
            "filter "
            f"{weights.shape}"
        )
    static = _windowed(source.shape, [window[0].value, window[1].value], steps, padding, window[3])
    result: Tensor = make(name, "Conv2D", compute, source, weights, static=[(source.dtype, static)])
    return result


def conv2d_transpose(
    value: Any,
    filter: Any = None,
    output_shape: Any = None,
    strides: Sequence[int] = (1, 1, 1, 1),
    padding: str = "SAME",
    data_format: str = "NHWC",
    name: str | None = None,
) -> Tensor:
    """Return the transpose of ``conv2d``: ``value`` [N, h, w, C], ``filter`` [h, w, C_out, C] give [N, H,
    W, C_out].

    ``output_shape`` is a list of four sizes, of which the batch's may be -1 or a tensor. Raises
    ``ValueError`` for sizes from which the convolution does not lead to ``value``.

    Source: ``tf.nn.conv2d_transpose``.
    """
    _check_layout({"data_format": data_format})
    steps = _spatial(strides, "strides")
    graph = get_default_graph()
    with graph.name_scope(name or "conv2d_transpose") as scope:
        source, weights = convert_to_tensor(value), convert_to_tensor(filter)
        sizes, dynamic = known_sizes(output_shape)

    def compute(
        run: Any, x: torch.Tensor, w: torch.Tensor, shape: torch.Tensor | None = None
    ) -> torch.Tensor:
        wanted = (sizes if shape is None else shape.tolist()) or []
        height, width = int(wanted[1] or 0), int(wanted[2] or 0)
        window = (w.shape[0], w.shape[1])
        pads = [_pads(s, k, t, padding) for s, k, t in zip((height, width), window, steps, strict=True)]
        for small, large, k, t, (before, after) in zip(
            x.shape[1:3], (height, width), window, steps, pads, strict=True
        ):
            if (large + before + after - k) // t + 1 != small:
                raise ValueError(
                    f"output_shape is {wanted}, from which strides {steps} lead to another than {small}"
                )
        # The whole of what the windows touch, cut to the size asked for.
        full = F.conv_transpose2d(x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1), stride=steps)
        missing = [
            max(before + size - have, 0)
            for (before, _), size, have in zip(pads, (height, width), full.shape[2:], strict=True)
        ]
        full = F.pad(full, (0, missing[1], 0, missing[0])) if any(missing) else full
        top, left = pads[0][0], pads[1][0]
        return full[:, :, top : top + height, left : left + width].permute(0, 2, 3, 1)

    # TensorFlow takes what it knows of the batch from the input.
    spatial = [None if s is None or s < 0 else s for s in sizes[1:]] if sizes else [None] * 3
    static = TensorShape([source.shape[0], *spatial])
    inputs = [source, weights] if dynamic is None else [source, weights, dynamic]
    return graph.add(scope, inputs, compute, [(source.dtype, static)]).outputs[0]


def max_pool(
    value: Any,
    ksize: Sequence[int],
    strides: Sequence[int],
    padding: str,
    name: str | None = None,
    **ignored: Any,
) -> Tensor:
    """Return the maximum of each window of ``value`` [N, H, W, C]."""
    _check_layout(ignored)
    window, steps = _spatial(ksize, "ksize"), _spatial(strides, "strides")

    def compute(x: torch.Tensor) -> torch.Tensor:
        inner = _padded(x.permute(0, 3, 1, 2), window, steps, padding, float("-inf"))
        return F.max_pool2d(inner, window, steps).permute(0, 2, 3, 1)

    result = _pool(name or "MaxPool", compute, value, window, steps, padding)
    result.op.role = "max pool"
    return result


def avg_pool(
    value: Any,
    ksize: Sequence[int],
    strides: Sequence[int],
    padding: str,
    name: str | None = None,
    **ignored: Any,
) -> Tensor:
    """Return the mean of each window of ``value`` [N, H, W, C]; padding does not count."""
    _check_layout(ignored)
    window, steps = _spatial(ksize, "ksize"), _spatial(strides, "strides")

    def compute(x: torch.Tensor) -> torch.Tensor:
        channels_first = x.permute(0, 3, 1, 2)
        inner = _padded(channels_first, window, steps, padding, 0.0)
        inside = _padded(torch.ones_like(channels_first[:1, :1]), window, steps, padding, 0.0)
        pooled = F.avg_pool2d(inner, window, steps) / F.avg_pool2d(inside, window, steps)
        return pooled.permute(0, 2, 3, 1)

    return _pool(name or "AvgPool", compute, value, window, steps, padding)


def _pool(
    name: str, compute: Any, value: Any, window: Sequence[int], steps: Sequence[int], padding: str
) -> Tensor:
    source = convert_to_tensor(value, name="input")
    static = _windowed(source.shape, window, steps, padding, source.shape[-1])
    result: Tensor = make(name, name, compute, source, static=[(source.dtype, static)])
    return result


def _windowed(
    shape: TensorShape, window: Sequence[int | None], steps: Sequence[int], padding: str, channels: Any
) -> TensorShape:
    """Return the static shape after windows over height and width; ``ValueError`` if one does not fit."""
    if shape.ndims not in (None, 4):
        raise ValueError(f"Shape must be rank 4 but is rank {shape.ndims}, {shape}")
    sizes: list[int | None] = []
    for axis, (length, step) in enumerate(zip(window, steps, strict=True), start=1):
        have = shape[axis].value
        if have is None or (padding == "VALID" and length is None):
            sizes.append(None)
        elif padding == "SAME":
            sizes.append(-(-have // step))
        elif length is not None and have < length:
            raise ValueError(
                f"Negative dimension size caused by subtracting {length} from {have}; input {shape}"
            )
        else:
            sizes.append((have - (length or 1)) // step + 1)
    return TensorShape([shape[0], *sizes, channels])


def _spatial(sizes: Sequence[int], argument: str) -> tuple[int, int]:
    if len(sizes) != 4 or sizes[0] != 1 or sizes[3] != 1:
        raise ValueError(f"{argument} is {list(sizes)}; allowed: [1, height, width, 1]")
    return int(sizes[1]), int(sizes[2])


def _check_layout(options: dict[str, Any]) -> None:
    if options.pop("data_format", "NHWC") != "NHWC":
        raise ValueError("data_format must be 'NHWC' here")
    options.pop("use_cudnn_on_gpu", None)
    if options:
        raise TypeError(f"unexpected keyword arguments {sorted(options)}")


def _padded(
    x: torch.Tensor, window: Sequence[int], steps: Sequence[int], padding: str, value: float
) -> torch.Tensor:
    if padding == "VALID":
        return x
    if padding != "SAME":
        raise ValueError(f"padding is {padding!r}; allowed: 'SAME', 'VALID'")
    pads: list[int] = []
    for size, length, step in zip(reversed(x.shape[2:]), reversed(window), reversed(steps), strict=True):
        pads += _pads(size, length, step, padding)
    return F.pad(x, pads, value=value) if any(pads) else x


def _pads(size: int, window: int, step: int, padding: str) -> tuple[int, int]:
    if padding == "VALID":
        return 0, 0
    total = max((-(-size // step) - 1) * step + window - size, 0)
    # An odd padding is larger at the end, unlike PyTorch's.
    return total // 2, total - total // 2
