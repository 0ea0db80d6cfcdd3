"""Detects an unused GPU, which would make a job much slower than necessary."""

from pathlib import Path


def unused_gpu(device: str) -> str | None:
    """Return a warning if the machine has an NVIDIA GPU but the model does not use it.

    Args:
        device: Device of the model, e.g. `cpu` or `cuda:0`.
    """
    if device.startswith("cuda") or not any(Path("/dev").glob("nvidia[0-9]*")):
        return None
    return (
        "THIS MACHINE HAS A GPU, BUT THE MODEL RUNS ON THE CPU: pass --device cuda; if that fails, PyTorch was "
        "installed without CUDA or the driver is too old (nvidia-smi says which one it is)"
    )
