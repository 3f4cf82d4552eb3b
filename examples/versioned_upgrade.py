"""A new release while runs are in flight: old ones end as they began, new ones take the new way.

The first release ships an order once it was paid. The second one checks it for fraud before that, which is
not for runs that began without. ``ctx.get_version`` records the newest version that the code knows when a
run comes there first, and gives that from then on. So the first release asks as well, although it knows one
version only.

    python versioned_upgrade.py [FOLDER]    # the database stays in FOLDER, if given
"""

import sys
import tempfile
from pathlib import Path

from tempolite import Tempolite, WorkflowContext, workflow


def reserve(order: str) -> str:
    return f"{order} reserved"


def check_for_fraud(order: str) -> str:
    return f"{order} checked"


def ship(order: str) -> str:
    return f"{order} shipped"


# ── the first release ───────────────────────────────────────────────────────────────────────────────────────


def fulfil_1(ctx: WorkflowContext, order: str) -> list[str]:
    ctx.get_version("fulfilment", 1, 1)
    done = [ctx.activity("reserve", reserve, order).get()]
    ctx.signal("paid").get()
    done.append(ctx.activity("ship", ship, order).get())
    return done


# ── the second release ──────────────────────────────────────────────────────────────────────────────────────


def fulfil_2(ctx: WorkflowContext, order: str) -> list[str]:
    version = ctx.get_version("fulfilment", 1, 2)
    done = [ctx.activity("reserve", reserve, order).get()]
    if version >= 2:
        done.append(ctx.activity("check", check_for_fraud, order).get())
    ctx.signal("paid").get()
    done.append(ctx.activity("ship", ship, order).get())
    return done


# ── the program ─────────────────────────────────────────────────────────────────────────────────────────────

# Two releases of a program would hold the same function at the same place. Both stand in one file here, so
# the name under which runs are recorded is given.
release_1 = workflow(fulfil_1, name="fulfil")
release_2 = workflow(fulfil_2, name="fulfil")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    database = folder / "orders.db"
    with Tempolite(database) as tp:
        old = tp.execute(None, release_1, "old order").id
        tp.wait()
        print("release 1:", tp.get(old).status)

    with Tempolite(database, workflows=[release_2]) as tp:
        new = tp.execute(None, release_2, "new order").id
        for id in (old, new):
            tp.signal(id, "paid")
            print("release 2:", ", ".join(tp.get(id).get()))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary))
