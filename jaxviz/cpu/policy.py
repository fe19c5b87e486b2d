"""What pays on the processor that runs: the only file that asks which one that is.

The thresholds are where both sides took the same time for layers of AlexNet and SqueezeNet on two
cores of a server; what is only estimated says so.
"""

import functools
import math
from collections.abc import Sequence

import jax

from . import toom_cook
from .processor import multiplies_bfloat16

COMPILER_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}
_BFLOAT16_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}

# XLA's convolution by groups takes three times as long on a CPU as one group after the other, but
# each is one more to compile.
_MOST_GROUPS = 8
# Several groups in one convolution, with zeros between them, multiply more; so many products a
# channel take as long as XLA's loop over the groups.
_MOST_MERGED = 700
# Products of shifted images, which fuse, take a tenth of XLA's time or less; each tap is compiled.
_MOST_SHIFTS = 64
# A window of so many places is read by slices, which fuse, several times faster than by XLA's loop
# over the places.
_MOST_SLICES = 16
# A number moved to and from the points costs as much time as so many products.
_PRODUCTS_A_NUMBER = {3: 50, 5: 110}
# Bytes of all pixels and outputs at points; more do not stay in the caches.
_MOST_BYTES = 1 << 26
# Bytes of the largest value between layers, of all images that a forward pass takes at a time. The
# C library maps blocks above 32 MB anew at each call, and several values are in use at once.
_MOST_VALUE = 20 * 10**6
# Bytes of all values of a forward pass, which its gradient keeps. Larger blocks are mapped anew at
# each call, too.
_MOST_KEPT = 64 * 10**6
# Products that a call saves. Fewer save less time in a hundred calls than they take to compile.
_LEAST_SAVED = 1 << 28
# Numbers in a kernel. For smaller ones, spreading takes longer to compile than it saves.
_LEAST_SPREAD_KERNEL = 1 << 16
# Numbers that a product sums up, and numbers in its kernel, from which on bfloat16 is faster.
_LEAST_TERMS = 48
_LEAST_ROUNDED_KERNEL = 1 << 13


def on_cpu() -> bool:
    return jax.default_backend() == "cpu"


@functools.cache
def compiler_options(*, rounded: bool = False) -> dict[str, str] | None:
    """The options for the outermost `jit` on this backend, or None where they are not understood.

    On CPUs jaxlib sends convolutions to a library that is slower than its older path
    (benchmarks/PERFORMANCE.md says by how much); one option turns it off. Other versions of jaxlib
    may not know it. rounded: whether products are of bfloat16, in which that library is faster.
    """
    if not on_cpu():
        return None
    options = _BFLOAT16_OPTIONS if rounded else COMPILER_OPTIONS
    try:
        jax.jit(lambda: 0, compiler_options=options)()
    except Exception:  # an unknown option raises a runtime error that has no class of its own
        return None
    return options


def batch_size() -> int:
    """Pictures a device at a time: few fit a CPU's caches, many fill other devices."""
    return 8 if on_cpu() else 256


def positions_together() -> int:
    """How many changed boxes are evaluated at a time, at most.

    A CPU keeps few in its caches; elsewhere each turn of the loop starts its kernels anew, which
    takes longer than what they do (benchmarks/roofline.py).
    """
    return 32 if on_cpu() else 1024


def numbers_held() -> int:
    """How many numbers the evaluation of changed boxes holds meanwhile: 256 MB, elsewhere 1 GB."""
    return 1 << (26 if on_cpu() else 28)


def images_together(largest: int) -> int:
    """How many images a forward pass takes at a time, whose largest value has so many bytes."""
    return _together(batch_size(), _MOST_VALUE, largest)


def gradients_together(kept: int, most: int) -> int:
    """How many images a gradient takes at a time; the forward pass makes so many bytes of each."""
    if not on_cpu():
        return most
    return _together(most, _MOST_KEPT, kept)


def _together(most: int, budget: int, each: int) -> int:
    """The largest power of two, at most `most`, of which all fit into a budget; at least 1."""
    return 1 << max(0, min(most, budget // max(1, each)).bit_length() - 1)


def groups_one_by_one(groups: int) -> bool:
    return on_cpu() and groups <= _MOST_GROUPS


def parts_of_groups(groups: int, channels: int) -> int:
    """In how many convolutions so many groups, with so many input channels each, are done."""
    if not on_cpu():
        return 1
    parts = max(n for n in range(1, _MOST_GROUPS + 1) if groups % n == 0)
    merged = groups // parts
    return parts if merged == 1 or merged * channels**2 <= _MOST_MERGED else 1


def shifts_pay(taps: int) -> bool:
    return on_cpu() and taps <= _MOST_SHIFTS


def pools_by_slices(window: Sequence[int]) -> bool:
    return math.prod(window) <= _MOST_SLICES


def fewer_products_pay(
    taps: int,
    outputs: Sequence[int],
    channels: tuple[int, int],
    *,
    kernel_is_ready: bool,
    seldom: bool,
) -> bool:
    """Whether Toom-Cook pays for a square kernel of taps x taps and outputs (batch, rows, cols).

    It does if the products that it saves take longer than the numbers that it moves: pixels and
    outputs at points and, unless that was done before, the kernel at points. What is called
    seldom must also save enough to be worth compiling.
    """
    if taps not in _PRODUCTS_A_NUMBER:
        return False
    pairs, places = math.prod(channels), math.prod(outputs)
    axes = toom_cook_axes(taps)
    growth = toom_cook.growth(taps) ** axes
    saved = places * pairs * (taps**2 - growth * taps ** (2 - axes))
    if seldom and saved < _LEAST_SAVED:
        return False
    moved = places * growth * sum(channels)
    kernel = 0.0 if kernel_is_ready else pairs * taps**2 * 2.0  # an estimate
    return saved >= _PRODUCTS_A_NUMBER[taps] * moved + 12 * kernel and 4 * moved <= _MOST_BYTES


def toom_cook_axes(taps: int) -> int:
    """Kernels of 5 taps are at points by rows only: more would cost too much round-off."""
    return {3: 2, 5: 1}[taps]


def matrix_first_pays(rows: int, larger: int) -> bool:
    """Whether few rows times the rows of a matrix are taken as the matrix times columns.

    XLA's own way takes up to twenty times as long for a large matrix that is read by its rows.
    """
    return rows > 1 and rows * 4 <= larger


def spreading_pays(kernel: int, groups: int, pixels: int, outputs: int) -> bool:
    """Whether changed pixels are spread by the kernel, not read for each output.

    The sums of pieces cost a tenth of the products, at least.
    """
    few = pixels * 5 <= outputs * 4
    return groups_one_by_one(groups) and kernel >= _LEAST_SPREAD_KERNEL and few


def bfloat16_pays(terms: int, numbers: int) -> bool:
    """Whether products of changes gain as bfloat16: sums of so many terms, kernels of so many.

    On other devices than CPUs, starting the kernels of the changes would take longer than it saves
    (an estimate).
    """
    is_large = terms >= _LEAST_TERMS and numbers >= _LEAST_ROUNDED_KERNEL
    return on_cpu() and multiplies_bfloat16() and is_large


def points_pay(by_points: int, by_taps: int) -> bool:
    """Whether a change is spread by so few products at points."""
    return by_points * 4 <= by_taps * 3
