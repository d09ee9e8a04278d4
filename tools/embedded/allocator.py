"""Settings of the C allocator and of OpenMP that make training on CPU faster; read once when a process starts."""

import os
import sys

SETTINGS = {
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""glibc gives large blocks back to the system after every use: keeping them made attention 2.5 times faster.
Passive waiting leaves the processor to others while a thread waits."""


def missing_settings() -> dict[str, str]:
    """The settings a process should be started with again; empty where all are there, or where they mean nothing."""
    if not sys.platform.startswith("linux"):
        return {}
    return {name: value for name, value in SETTINGS.items() if name not in os.environ}
