"""Compiles the blocks of a transformer with torch.compile if that is faster and yields the same vectors."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

# Minimum cosine between vectors of compiled and plain blocks (bf16 rounds differently), and minimum speed-up.
_MIN_COSINE, _MIN_SPEEDUP = 0.999, 1.03
_ROUNDS = 3


def compile_if_faster(
    trunk: nn.Module,
    embed: Callable[[], Tensor],
    *,
    compiler: Callable[[nn.Module], nn.Module] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> str:
    """Compile the blocks of a trunk in place; restore the original blocks if that fails or is not faster.

    Args:
        trunk: A timm VisionTransformer; others are left unchanged.
        embed: Embeds one batch with the trunk, waits for the device, and returns unit vectors (n, dim).
        compiler: Compiles one block; `torch.compile` for batches of any size when None.
        clock: Returns the time in seconds.

    Returns:
        The outcome, for a log.
    """
    plain = getattr(trunk, "blocks", None)
    if not isinstance(plain, nn.Sequential) or not all(hasattr(block, "attn") for block in plain):
        return "torch.compile: not tried, the image tower is not a single transformer"
    expected, plain_s = _timed(embed, clock)
    try:
        # All blocks share one compilation. The batch size is dynamic, because the last batch is smaller.
        trunk.blocks = nn.Sequential(*map(compiler or _compile, plain))
        embed()
        vectors, compiled_s = _timed(embed, clock)
    except Exception as error:  # noqa: BLE001  (a compiler may raise anything; the plain blocks work)
        trunk.blocks = plain
        return f"torch.compile: off, it failed ({_first_line(error)})"
    if torch.cosine_similarity(vectors.float(), expected.float()).min() < _MIN_COSINE:
        trunk.blocks = plain
        return "torch.compile: off, the compiled blocks change the vectors"
    if plain_s < _MIN_SPEEDUP * compiled_s:
        trunk.blocks = plain
        return f"torch.compile: off, no speed-up ({plain_s / compiled_s:.2f} times as fast)"
    return f"torch.compile: on, {plain_s / compiled_s:.2f} times as fast"


def _compile(block: nn.Module) -> nn.Module:
    compiled: nn.Module = torch.compile(block, dynamic=True)  # type: ignore[assignment]
    return compiled


def _timed(embed: Callable[[], Tensor], clock: Callable[[], float]) -> tuple[Tensor, float]:
    """Return the vectors and the median time of a call, seconds."""
    times = []
    for _ in range(_ROUNDS):
        start = clock()
        vectors = embed()
        times.append(clock() - start)
    return vectors, statistics.median(times)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or ['?'])[0]}"
