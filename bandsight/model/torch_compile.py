"""Has PyTorch compile the blocks of a transformer, where that is measured to be faster and to say the same."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

# Compiled blocks must say what the plain ones say, to this cosine (bf16 is rounded at other places), and be so much
# faster.
_SAME, _FASTER = 0.999, 1.03
_ROUNDS = 3


def compile_where_it_pays(
    trunk: nn.Module,
    embed: Callable[[], Tensor],
    *,
    compiler: Callable[[nn.Module], nn.Module] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> str:
    """Compile a trunk's blocks in place; they stay as they were where that fails or is no faster.

    Args:
        trunk: A timm VisionTransformer at work; any other is left alone.
        embed: Embeds one batch with it, waits for the device, and returns unit vectors (n, dim).
        compiler: Compiles one block; None for `torch.compile`, for batches of any size.
        clock: Tells the time, seconds.

    Returns:
        What was found, in words for a log.
    """
    plain = getattr(trunk, "blocks", None)
    if not isinstance(plain, nn.Sequential) or not all(hasattr(block, "attn") for block in plain):
        return "torch.compile: not tried, the image tower is no single transformer"
    expected, before = _timed(embed, clock)
    try:
        # Blocks are alike, so that one is compiled for all. The size of a batch is left open: the last one is smaller.
        trunk.blocks = nn.Sequential(*map(compiler or _compiled, plain))
        embed()
        found, after = _timed(embed, clock)
    except Exception as error:  # noqa: BLE001  (a compiler fails in its own ways; plain blocks work)
        trunk.blocks = plain
        return f"torch.compile: off, it failed ({_first_line(error)})"
    if torch.cosine_similarity(found.float(), expected.float()).min() < _SAME:
        trunk.blocks = plain
        return "torch.compile: off, compiled blocks do not say the same"
    if before < _FASTER * after:
        trunk.blocks = plain
        return f"torch.compile: off, it pays not ({before / after:.2f} times as fast)"
    return f"torch.compile: on, {before / after:.2f} times as fast"


def _compiled(block: nn.Module) -> nn.Module:
    made: nn.Module = torch.compile(block, dynamic=True)  # type: ignore[assignment]
    return made


def _timed(embed: Callable[[], Tensor], clock: Callable[[], float]) -> tuple[Tensor, float]:
    """Return the vectors and the median of the times that they take."""
    times = []
    for _ in range(_ROUNDS):
        began = clock()
        vectors = embed()
        times.append(clock() - began)
    return vectors, statistics.median(times)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or ['?'])[0]}"
