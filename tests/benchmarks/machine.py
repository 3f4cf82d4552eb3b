"""What the figures depend on: processor, kernel, interpreter, file system, price of an fsync, load."""

import os
import platform
import re
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

FSYNC_SAMPLES = 60
FSYNC_BYTES = 4096
IN_MEMORY = frozenset({"tmpfs", "ramfs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine as the report shows it: no name, no path."""

    cores: int
    processor: str
    kernel: str
    python: str
    file_system: str
    fsync_ms: float
    load_before: float


def look_at(folder: Path) -> Machine:
    """The machine, with the file system that `folder` is on."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        processor=_processor(),
        kernel=f"{platform.system()} {_kernel_version()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        file_system=file_system(folder),
        fsync_ms=_fsync_ms(folder),
        load_before=os.getloadavg()[0],
    )


def file_system(folder: Path) -> str:
    """The type of the file system that holds `folder`, as in `ext4`."""
    resolved = folder.resolve()
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    holding = [(fields[1], fields[2]) for fields in mounts if resolved.is_relative_to(fields[1])]

    # The last of the longest: a later mount on the same point hides the earlier one.
    return max(enumerate(holding), key=lambda found: (len(found[1][0]), found[0]))[1][1]


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)

    return found.group(1).strip() if found else platform.machine()


def _kernel_version() -> str:
    return platform.release().split("-")[0]


def _fsync_ms(folder: Path) -> float:
    """The median time of a 4 KiB append with `fdatasync`."""
    block = os.urandom(FSYNC_BYTES)
    file = folder / "fsync-probe"
    times: list[float] = []
    with file.open("wb", buffering=0) as stream:
        for _ in range(FSYNC_SAMPLES):
            began = time.perf_counter()
            stream.write(block)
            os.fdatasync(stream.fileno())
            times.append(time.perf_counter() - began)
    file.unlink()

    return statistics.median(times) * 1000
