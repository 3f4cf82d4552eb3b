"""What tests of workflows need: engines that can be crashed, time that can be moved, and a look at leaks.

::

    plugin          the fixtures, found by pytest by itself; free where they are not asked for
    engines         the engines of one test: made here, in one place, and ended here
    clock           their time, which the test moves
    actor_system    their actors, and the seed of the order in which they run
    message_log     what the actors told one another; message_text is how one message reads
    crash_points    a scenario that is killed after each of its commits
    leaks           what the test left behind

    exporting       histories out of a database into a file ──┐
    history_file    what such a file looks like               │
    proving         today's code against them ◀───────────────┘
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tempolite.testing.exporting import export_histories as export_histories
    from tempolite.testing.proving import Mismatch as Mismatch
    from tempolite.testing.proving import ReplayReport as ReplayReport
    from tempolite.testing.proving import replay_histories as replay_histories

# Loaded when they are used: pytest imports this package in every project that has Tempolite installed.
_HOME_OF = {
    "Mismatch": "tempolite.testing.proving",
    "ReplayReport": "tempolite.testing.proving",
    "export_histories": "tempolite.testing.exporting",
    "replay_histories": "tempolite.testing.proving",
}

__all__ = ["Mismatch", "ReplayReport", "export_histories", "replay_histories"]


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value
