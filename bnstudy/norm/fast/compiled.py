"""Loops over channels-last images, compiled by numba: batch norm, ReLU and 2x2 pooling in few passes.

Every function works on part of the image, ``first`` to ``last``, so that several threads can share it.
The parts never depend on the number of threads, and sums are combined in their order: the same bits come
out however many threads there are.

Arrays are flat, channels fastest. bfloat16 arrives as its bits (uint16), is computed in float32, and is
rounded to nearest, ties to even. ``float32`` and ``float64`` are computed in their own precision.
"""

# numba gives these functions their types.
# mypy: allow-untyped-defs, allow-untyped-decorators, disable-error-code="call-arg"

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_I16, _I32 = ir.IntType(16), ir.IntType(32)
_LANES = 512  # values that an inner loop runs over at least: short loops spend their time starting

DEAD = 4  # the index of a window that ReLU cut off; 0 to 3 name the pixel a window's value came from


@intrinsic
def _decode(_context: Any, value: Any) -> Any:
    """Return a stored value as a number to compute with."""
    if value != types.uint16:
        return value(value), lambda _context, _builder, _signature, arguments: arguments[0]

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        bits = builder.shl(builder.zext(arguments[0], _I32), ir.Constant(_I32, 16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(value), generate


@intrinsic
def _encode(_context: Any, value: Any, array: Any) -> Any:
    """Return a number as ``array`` stores it."""
    if array.dtype != types.uint16:
        return array.dtype(value, array), lambda context, builder, _signature, arguments: context.cast(
            builder, arguments[0], value, array.dtype
        )

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        number = context.cast(builder, arguments[0], value, types.float32)
        bits = builder.bitcast(number, _I32)
        odd = builder.and_(builder.lshr(bits, ir.Constant(_I32, 16)), ir.Constant(_I32, 1))
        rounded = builder.add(builder.add(bits, ir.Constant(_I32, 0x7FFF)), odd)
        # Rounding could carry a NaN over into a zero.
        is_nan = builder.fcmp_unordered("uno", number, number)
        rounded = builder.select(is_nan, ir.Constant(_I32, 0x7FC00000), rounded)
        return builder.trunc(builder.lshr(rounded, ir.Constant(_I32, 16)), _I16)

    return types.uint16(value, array), generate


_compiled = njit(nogil=True, error_model="numpy", cache=True)


@_compiled
def moments(first, last, x, pixels, block, parts, dtype):
    """Write mean and sum of squared distances from it of blocks of pixels: ``parts`` [blocks, 2, C]."""
    channels = parts.shape[2]
    lanes = channels * max(1, _LANES // channels)
    total = np.empty(lanes, dtype)
    square = np.empty(lanes, dtype)
    centre = np.empty(lanes, dtype)
    for b in range(first, last):
        begin = b * block * channels
        end = min(pixels, (b + 1) * block) * channels
        count = (end - begin) // channels
        total[:] = 0
        i = begin
        while i + 4 * lanes <= end:
            x0, x1 = x[i : i + lanes], x[i + lanes : i + 2 * lanes]
            x2, x3 = x[i + 2 * lanes : i + 3 * lanes], x[i + 3 * lanes : i + 4 * lanes]
            for j in range(lanes):
                total[j] += (_decode(x0[j]) + _decode(x1[j])) + (_decode(x2[j]) + _decode(x3[j]))
            i += 4 * lanes
        while i < end:
            x0 = x[i : min(i + lanes, end)]
            for j in range(len(x0)):
                total[j] += _decode(x0[j])
            i += lanes
        for c in range(channels):
            mean = 0.0
            for j in range(c, lanes, channels):
                mean += total[j]
            for j in range(c, lanes, channels):
                centre[j] = mean / count
        # Again, around the block's own mean: no mean is too large, and the block is still in the cache.
        total[:] = 0
        square[:] = 0
        i = begin
        while i + 4 * lanes <= end:
            x0, x1 = x[i : i + lanes], x[i + lanes : i + 2 * lanes]
            x2, x3 = x[i + 2 * lanes : i + 3 * lanes], x[i + 3 * lanes : i + 4 * lanes]
            for j in range(lanes):
                d0, d1 = _decode(x0[j]) - centre[j], _decode(x1[j]) - centre[j]
                d2, d3 = _decode(x2[j]) - centre[j], _decode(x3[j]) - centre[j]
                total[j] += (d0 + d1) + (d2 + d3)
                square[j] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)
            i += 4 * lanes
        while i < end:
            x0 = x[i : min(i + lanes, end)]
            for j in range(len(x0)):
                d0 = _decode(x0[j]) - centre[j]
                total[j] += d0
                square[j] += d0 * d0
            i += lanes
        for c in range(channels):
            shift = 0.0
            spread = 0.0
            for j in range(c, lanes, channels):
                shift += total[j]
                spread += square[j]
            parts[b, 0, c] = centre[c] + shift / count
            parts[b, 1, c] = spread - shift * shift / count


@_compiled
def affine_relu(first, last, x, y, coefficients):
    """Write the affine map of pixels of ``x``, cut off at 0; see ``pool`` for ``coefficients``."""
    mean, slope, offset = coefficients[0], coefficients[1], coefficients[2]
    channels = len(mean)
    floor = mean.dtype.type(0)
    for i in range(first, last):
        source, target = x[i * channels : (i + 1) * channels], y[i * channels : (i + 1) * channels]
        for c in range(channels):
            value = (_decode(source[c]) - mean[c]) * slope[c] + offset[c]
            target[c] = _encode(floor if value < floor else value, target)


@_compiled
def pool(first, last, x, y, width, coefficients, sign, relu):
    """Write the affine map of each window's extreme, row by row of ``y``.

    ``coefficients`` [3, C] are mean, slope and offset of ``(x - mean) * slope + offset``. Where ``sign``
    [C] is -1 (a negative slope) the extreme is the smallest value, elsewhere the largest.
    """
    mean, slope, offset = coefficients[0], coefficients[1], coefficients[2]
    channels = len(mean)
    floor = mean.dtype.type(0.0 if relu else -np.inf)
    for row in range(first, last):
        for column in range(width // 2):
            top = (2 * row * width + 2 * column) * channels
            bottom = top + width * channels
            out = (row * (width // 2) + column) * channels
            x0, x1 = x[top : top + channels], x[top + channels : top + 2 * channels]
            x2, x3 = x[bottom : bottom + channels], x[bottom + channels : bottom + 2 * channels]
            target = y[out : out + channels]
            for c in range(channels):
                best = _decode(x0[c]) * sign[c]
                # A NaN wins, as in PyTorch, so that a run that diverged shows it.
                other = _decode(x1[c]) * sign[c]
                best = other if (other > best) | (other != other) else best
                other = _decode(x2[c]) * sign[c]
                best = other if (other > best) | (other != other) else best
                other = _decode(x3[c]) * sign[c]
                best = other if (other > best) | (other != other) else best
                value = (best * sign[c] - mean[c]) * slope[c] + offset[c]
                target[c] = _encode(floor if value < floor else value, target)


@_compiled
def pool_and_remember(first, last, x, y, extreme, index, width, coefficients, sign, relu):
    """``pool``, and write what its gradient needs: each window's extreme, and its pixel or ``DEAD``.

    Of equal values the first in reading order is the extreme, as in PyTorch.
    """
    mean, slope, offset = coefficients[0], coefficients[1], coefficients[2]
    channels = len(mean)
    floor = mean.dtype.type(0.0 if relu else -np.inf)
    for row in range(first, last):
        for column in range(width // 2):
            top = (2 * row * width + 2 * column) * channels
            bottom = top + width * channels
            out = (row * (width // 2) + column) * channels
            x0, x1 = x[top : top + channels], x[top + channels : top + 2 * channels]
            x2, x3 = x[bottom : bottom + channels], x[bottom + channels : bottom + 2 * channels]
            target, kept = y[out : out + channels], extreme[out : out + channels]
            which = index[out : out + channels]
            for c in range(channels):
                best = _decode(x0[c]) * sign[c]
                at = np.int32(0)
                other = _decode(x1[c]) * sign[c]
                wins = (other > best) | (other != other)
                best, at = other if wins else best, np.int32(1) if wins else at
                other = _decode(x2[c]) * sign[c]
                wins = (other > best) | (other != other)
                best, at = other if wins else best, np.int32(2) if wins else at
                other = _decode(x3[c]) * sign[c]
                wins = (other > best) | (other != other)
                best, at = other if wins else best, np.int32(3) if wins else at
                best = best * sign[c]
                value = (best - mean[c]) * slope[c] + offset[c]
                dead = value <= floor
                kept[c] = _encode(best, kept)
                target[c] = _encode(floor if dead else value, target)
                which[c] = np.uint8(DEAD if dead else at)


@_compiled
def gradient_sums(first, last, gradient, extreme, index, pixels, block, mean, parts):
    """Write the sums over blocks of pooled pixels of g and g * (extreme - mean): ``parts`` [blocks, 2, C]."""
    channels = len(mean)
    lanes = channels * max(1, _LANES // channels)
    total = np.empty(lanes, mean.dtype)
    product = np.empty(lanes, mean.dtype)
    centre = np.empty(lanes, mean.dtype)
    zero = mean.dtype.type(0)
    for j in range(lanes):
        centre[j] = mean[j % channels]
    for b in range(first, last):
        begin = b * block * channels
        end = min(pixels, (b + 1) * block) * channels
        total[:] = 0
        product[:] = 0
        for i in range(begin, end, lanes):
            stop = min(i + lanes, end)
            g, v, which = gradient[i:stop], extreme[i:stop], index[i:stop]
            for j in range(len(g)):
                value = zero if which[j] == DEAD else _decode(g[j])
                total[j] += value
                product[j] += value * (_decode(v[j]) - centre[j])
        for c in range(channels):
            first_sum = 0.0
            second_sum = 0.0
            for j in range(c, lanes, channels):
                first_sum += total[j]
                second_sum += product[j]
            parts[b, 0, c] = first_sum
            parts[b, 1, c] = second_sum


@_compiled
def input_gradient(first, last, x, dx, gradient, index, width, coefficients):
    """Write ``dx``, for the rows of the pooled image.

    ``coefficients`` [4, C] are a, b, c and mean of ``dx = a * g + b + c * (x - mean)``, where g is the
    window's gradient at the pixel that the value came from, and 0 elsewhere.
    """
    slope, constant, factor, mean = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    channels = len(mean)
    for row in range(first, last):
        for column in range(width // 2):
            out = (row * (width // 2) + column) * channels
            g, which = gradient[out : out + channels], index[out : out + channels]
            for at in range(4):
                start = ((2 * row + at // 2) * width + 2 * column + at % 2) * channels
                source, target = x[start : start + channels], dx[start : start + channels]
                for c in range(channels):
                    value = constant[c] + factor[c] * (_decode(source[c]) - mean[c])
                    raised = value + _decode(g[c]) * slope[c]
                    target[c] = _encode(raised if which[c] == at else value, target)


@_compiled
def scatter(first, last, dx, gradient, index, width, channels):
    """Write each window's gradient to the pixel that its value came from, and 0 elsewhere."""
    nothing = gradient.dtype.type(0)
    for row in range(first, last):
        for column in range(width // 2):
            out = (row * (width // 2) + column) * channels
            g, which = gradient[out : out + channels], index[out : out + channels]
            for at in range(4):
                start = ((2 * row + at // 2) * width + 2 * column + at % 2) * channels
                target = dx[start : start + channels]
                for c in range(channels):
                    target[c] = g[c] if which[c] == at else nothing
