"""Conversion of pictures and sound: work for the processor, on all of its cores, in worker processes.

Shows an album that is converted in parallel with its progress, a cover that overtakes the other pictures by
its priority, and a film that is cancelled: its process is really stopped, and half of a file is not left
behind.

    python media_conversion.py [FOLDER]    # originals and results are in FOLDER; else in a temporary folder
"""

import array
import math
import os
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path

from tempolite import ActivityContext, ActivityInfo, Tempolite, WorkflowCancelled, WorkflowContext, activity

WIDTH, HEIGHT = 96, 72
PICTURES = 6
SAMPLES_PER_S = 8_000
FRAMES = 36_000


# ── activities ──────────────────────────────────────────────────────────────────────────────────────────────


def soften(ctx: ActivityContext, source: str, target: str) -> int:
    """Makes a PPM picture grey, each dot the mean of its neighbours; gives the process that did it."""
    pixels = Path(source).read_bytes()[-3 * WIDTH * HEIGHT :]
    grey = [sum(pixels[at : at + 3]) // 3 for at in range(0, len(pixels), 3)]
    softened = bytearray()
    for y in range(HEIGHT):
        softened += bytes(mean_around(grey, x, y) for x in range(WIDTH))
        ctx.progress(y + 1, HEIGHT)
    Path(target).write_bytes(b"P5 %d %d 255\n" % (WIDTH, HEIGHT) + softened)
    return os.getpid()


def mean_around(grey: list[int], x: int, y: int) -> int:
    columns = range(max(0, x - 1), min(WIDTH, x + 2))
    rows = range(max(0, y - 1), min(HEIGHT, y + 2))
    return sum(grey[row * WIDTH + column] for row in rows for column in columns) // (len(columns) * len(rows))


def add_echo(source: str, target: str) -> int:
    """Lets a WAV file sound as in a hall; gives the process that did it."""
    with wave.open(source, "rb") as original:
        settings, samples = original.getparams(), array.array("h", original.readframes(original.getnframes()))
    for at in range(SAMPLES_PER_S // 8, len(samples)):
        samples[at] = max(-32_768, min(32_767, samples[at] + samples[at - SAMPLES_PER_S // 8] // 3))
    with wave.open(target, "wb") as result:
        result.setparams(settings)
        result.writeframes(samples.tobytes())
    return os.getpid()


def render_film(ctx: ActivityContext, target: str) -> None:
    """Takes an hour; writes beside the target first, and takes that away when it is told to end."""
    unfinished = Path(target).with_suffix(".part")
    try:
        with unfinished.open("wb") as file:
            file.writelines(frames(ctx))
        if not ctx.cancelled:
            unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)


def frames(ctx: ActivityContext) -> Iterator[bytes]:
    for number in range(FRAMES):
        if ctx.cancelled:
            return
        yield bytes((x * number) % 256 for x in range(50_000))
        ctx.progress(number + 1, FRAMES)


# ── workflows ───────────────────────────────────────────────────────────────────────────────────────────────


def convert_album(ctx: WorkflowContext, folder: str) -> list[tuple[str, int]]:
    """Everything in the folder at once; gives the files in the order in which they were ready."""
    waiting: list[ActivityInfo[int]] = [
        ctx.activity(
            f"picture-{number}", soften, f"{folder}/picture-{number}.ppm", f"{folder}/picture-{number}.pgm"
        )
        for number in range(1, PICTURES + 1)
    ]
    waiting.append(ctx.activity("music", add_echo, f"{folder}/music.wav", f"{folder}/music-hall.wav"))
    cover = activity(soften, priority=10)
    waiting.append(ctx.activity("cover", cover, f"{folder}/cover.ppm", f"{folder}/cover.pgm"))

    ready: list[tuple[str, int]] = []
    while waiting:
        first = ctx.wait_any(*waiting)
        waiting.remove(first)
        ready.append((first.step, first.get()))
        total = len(ready) + len(waiting)
        ctx.set_status(f"{len(ready)} of {total} files ready", progress=len(ready) / total)
    return ready


def make_film(ctx: WorkflowContext, folder: str) -> None:
    ctx.activity("render", render_film, f"{folder}/film.raw").get()


# ── the program ─────────────────────────────────────────────────────────────────────────────────────────────


def make_originals(folder: Path) -> None:
    names = [f"picture-{number}" for number in range(1, PICTURES + 1)] + ["cover"]
    for shift, name in enumerate(names):
        rows = (bytes(((x * y + shift) % 256, x, y)) for y in range(HEIGHT) for x in range(WIDTH))
        Path(folder, f"{name}.ppm").write_bytes(b"P6 %d %d 255\n" % (WIDTH, HEIGHT) + b"".join(rows))
    tone = (round(9_000 * math.sin(at / 6)) for at in range(2 * SAMPLES_PER_S))
    with wave.open(str(folder / "music.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLES_PER_S, 0, "NONE", "not compressed"))
        file.writeframes(array.array("h", tone).tobytes())


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    make_originals(folder)
    with Tempolite(folder / "media.db") as tp:
        album = tp.execute(None, convert_album, str(folder))
        said = ""
        while album.finished_at is None:
            if album.status_text != said:
                said = album.status_text
                print(f"{said} ({album.progress:.0%})")
            time.sleep(0.01)
        order = [name for name, _ in album.get()]
        processes = {process for _, process in album.get()}
        print(
            f"ready in this order: {', '.join(order)}",
            f"by {len(processes)} processes on {os.cpu_count()} cores",
            sep="; ",
        )

        film = tp.execute(None, make_film, str(folder))
        while not Path(folder, "film.part").exists():
            time.sleep(0.01)
        film.cancel()
        try:
            film.get()
        except WorkflowCancelled:
            print("film:", film.status)
    made = sorted(path.name for path in folder.iterdir() if path.suffix in (".pgm", ".raw", ".part"))
    print("files:", ", ".join([*made, *(path.name for path in folder.glob("music-*"))]))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary))
