"""Approval by a human: a run waits for a decision, reminds whoever has to take it, and gives up in the end.

Shows a signal with a typed value, a wait with a time-out, and a query of the state; a waiting run holds no
thread, and would wait as well for weeks and across restarts. A day takes a tenth of a second here.

    python approval.py [FOLDER]    # the mails are in FOLDER/mails.txt; else in a temporary folder
"""

import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tempolite import Queue, Tempolite, WorkflowContext, WorkflowInfo

DAY = timedelta(seconds=0.1)


@dataclass
class Claim:
    employee: str
    purpose: str
    amount: int
    reminders_max: int = 60


@dataclass
class Decision:
    by: str
    approved: bool
    comment: str = ""


@dataclass
class State:
    status: str
    reminders: int = 0


def send_mail(mails: str, to: str, text: str) -> None:
    with open(mails, "a", encoding="utf-8") as file:
        file.write(f"To {to}: {text}\n")


def approve_claim(ctx: WorkflowContext, claim: Claim, mails: str) -> str:
    state = State("waiting for the manager")
    ctx.on_query("state", lambda: state)
    ctx.activity("ask", send_mail, mails, "manager", f"{claim.employee} asks for {claim.amount} €").get()

    decision = wait_for_decision(ctx, state, claim, mails)

    if decision is None:
        state.status = "expired"
    else:
        state.status = f"{'approved' if decision.approved else 'rejected'} by {decision.by}"
    ctx.activity("tell", send_mail, mails, claim.employee, f"{claim.purpose}: {state.status}").get()
    return state.status


def wait_for_decision(ctx: WorkflowContext, state: State, claim: Claim, mails: str) -> Decision | None:
    """The decision, or None where nobody took one in spite of all reminders."""
    decision = ctx.signal("decision", Decision)
    while True:
        try:
            return decision.get(timeout=DAY)
        except TimeoutError:
            if state.reminders == claim.reminders_max:
                return None
        state.reminders += 1
        text = f"reminder {state.reminders}: {claim.employee} still waits for {claim.amount} €"
        ctx.activity("remind", send_mail, mails, "manager", text).get()


def wait_for_reminder(info: WorkflowInfo[str]) -> State:
    """What the state is once somebody had to be reminded."""
    while True:
        state: State = info.query("state")
        if state.reminders:
            return state
        time.sleep(0.01)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mails = str(folder / "mails.txt")
    # Sending mails is waiting for a server, not computing: threads are enough.
    with Tempolite(folder / "approval.db", queues=[Queue("default", kind="thread")]) as tp:
        travel = tp.execute(None, approve_claim, Claim("Ann", "travel", 180), mails)
        travel.signal("decision", Decision("Mary", approved=True))
        print("travel:", travel.get())

        screen = tp.execute(None, approve_claim, Claim("Bob", "screen", 420), mails)
        print("screen:", wait_for_reminder(screen))
        # Plain data will do, so that whoever sends it needs none of our classes.
        screen.signal("decision", {"by": "Mary", "approved": False, "comment": "take the old one"})
        print("screen:", screen.get())

        party = tp.execute(None, approve_claim, Claim("Cid", "party", 9_000, reminders_max=2), mails)
        print("party:", party.get(), "- after", party.query("state").reminders, "reminders")
    print(Path(mails).read_text("utf-8"), end="")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary))
