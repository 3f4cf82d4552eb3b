"""``python -m tempolite`` is the command ``tempolite``."""

from __future__ import annotations

from tempolite.cli.main import main

if __name__ == "__main__":
    main(prog_name="python -m tempolite")
