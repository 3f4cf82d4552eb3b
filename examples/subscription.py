"""Monthly billing: a run that lives as long as its customer, and whose history never grows.

Each month is a run of its own: continue-as-new hands what must be known to the next one. A signal cancels,
an update changes the plan, a query says how it stands; all of them find the month that is going on. A month
takes 50 ms here, and the plan could as well be changed after years and many restarts.

    python subscription.py [FOLDER]    # the invoices are in FOLDER/invoices.csv; else a temporary folder
"""

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from tempolite import ActivityContext, Queue, Tempolite, WorkflowContext

MONTH = timedelta(milliseconds=50)
PRICES = {"basic": 5, "team": 20}


@dataclass(frozen=True)
class Subscription:
    customer: str
    plan: str
    months_max: int = 1_000
    months_billed: int = 0


def write_invoice(ctx: ActivityContext, invoices: str, customer: str, plan: str, month: int) -> None:
    """The key is the same when this runs again after a crash: whoever books the invoice can tell."""
    with open(invoices, "a", encoding="utf-8") as file:
        file.write(f"{customer},{month},{plan},{PRICES[plan]},{ctx.idempotency_key}\n")


def bill_monthly(ctx: WorkflowContext, subscription: Subscription, invoices: str) -> str:
    plan = subscription.plan

    def change_plan(wanted: str) -> str:
        nonlocal plan
        before, plan = plan, wanted
        return f"{before} -> {wanted}, from month {month + 1}"

    month = subscription.months_billed + 1
    ctx.on_query("state", lambda: replace(subscription, plan=plan, months_billed=month))
    ctx.on_update("change plan", change_plan, validator=check_plan)
    ctx.activity("invoice", write_invoice, invoices, subscription.customer, plan, month).get()

    if month == subscription.months_max:
        return f"ended after {month} months, as agreed"
    cancelled = ctx.signal("cancel", str)
    if ctx.wait_any(cancelled, ctx.timer("month", MONTH)) is cancelled:
        return f"cancelled in month {month}: {cancelled.get()}"
    return ctx.continue_as_new(replace(subscription, plan=plan, months_billed=month), invoices)


def check_plan(wanted: str) -> None:
    if wanted not in PRICES:
        raise ValueError(f"there is no plan {wanted!r}, only {', '.join(PRICES)}")


def wait_for_month(tp: Tempolite, id: str, month: int) -> None:
    while tp.query(id, "state").months_billed < month:
        time.sleep(0.01)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    invoices = str(folder / "invoices.csv")
    with Tempolite(folder / "billing.db", queues=[Queue("default", kind="thread")]) as tp:
        ann = tp.execute(None, bill_monthly, Subscription("Ann", "basic"), invoices)
        bob = tp.execute(None, bill_monthly, Subscription("Bob", "team", months_max=4), invoices)

        wait_for_month(tp, ann.id, 2)
        try:
            ann.update("change plan", "gold")
        except ValueError as refusal:
            print("Ann:", refusal)
        print("Ann:", ann.update("change plan", "team"))
        wait_for_month(tp, ann.id, ann.query("state").months_billed + 2)
        ann.signal("cancel", "too loud")

        # The handle knew nothing of later months when it was made, and follows them all the same.
        print("Ann:", ann.get())
        print("Bob:", bob.get())
        print(f"Bob's months were {bob.run} runs; the last one has {len(bob.history())} events")
    print(Path(invoices).read_text("utf-8"), end="")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary))
