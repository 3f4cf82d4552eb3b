"""A transfer of money between two banks as a saga: all of it happens, or what has happened is undone.

Three transfers: one that goes through; one to an account that is closed, where the money is given back, fee
included; one of more than there is, where nothing was done and nothing is undone. A bank is a folder with a
file for each booking; its name is the idempotency key, so what is booked again is booked once.

    python money_transfer.py [FOLDER]    # the bookings are in FOLDER/banks; else in a temporary folder
"""

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from tempolite import (
    CompensationContext,
    Queue,
    RetryPolicy,
    Saga,
    SagaCompensated,
    Tempolite,
    TransactionContext,
    WorkflowContext,
)

OPENING = {"ann": 100, "bob": 20, "cid": 0}
CLOSED = "cid"
FEE = 1


@dataclass(frozen=True)
class Booking:
    amount: int
    text: str


@dataclass(frozen=True)
class Transfer:
    banks: str
    giver: str
    taker: str
    amount: int


class AccountClosed(Exception):
    pass


class InsufficientFunds(Exception):
    pass


# ── the bank ────────────────────────────────────────────────────────────────────────────────────────────────


def book(banks: str, key: str, account: str, booking: Booking) -> None:
    """Makes a booking; the same key again is the same booking."""
    path = Path(banks, account, key.replace(":", "-").replace("/", "-") + ".json")
    if not path.exists():
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps(asdict(booking)))
        unfinished.rename(path)


def bookings(banks: str, account: str) -> list[Booking]:
    """All of an account, in the order in which they were made."""
    paths = sorted(Path(banks, account).glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    return [Booking(**json.loads(path.read_text())) for path in paths]


def balance(banks: str, account: str) -> int:
    return OPENING[account] + sum(each.amount for each in bookings(banks, account))


# ── transactions and compensations ──────────────────────────────────────────────────────────────────────────


def withdraw(tx: TransactionContext, transfer: Transfer) -> None:
    taken = transfer.amount + FEE
    if balance(transfer.banks, transfer.giver) < taken:
        raise InsufficientFunds(f"{transfer.giver} has less than {taken} €")
    book(transfer.banks, tx.idempotency_key, transfer.giver, Booking(-taken, f"to {transfer.taker}"))
    tx.store("taken", taken)


def give_back(tx: CompensationContext, transfer: Transfer) -> None:
    """Undoes the withdrawal; the bank does not answer when it is asked for the first time."""
    if tx.attempt == 1:
        raise ConnectionError("the giver's bank does not answer")
    book(transfer.banks, tx.idempotency_key, transfer.giver, Booking(tx.load("taken"), "given back"))


def deposit(tx: TransactionContext, transfer: Transfer) -> None:
    if transfer.taker == CLOSED:
        raise AccountClosed(f"{transfer.taker} has no account any more")
    booking = Booking(transfer.amount, f"from {transfer.giver}")
    book(transfer.banks, tx.idempotency_key, transfer.taker, booking)


# ── the workflow ────────────────────────────────────────────────────────────────────────────────────────────

patiently = RetryPolicy(max_attempts=5, initial_interval=0.02, retry_on=(ConnectionError,))


def transfer_money(ctx: WorkflowContext, transfer: Transfer) -> str:
    saga = Saga()
    saga.add(withdraw, give_back, args=(transfer,), retry=patiently)
    saga.add(deposit, args=(transfer,), retry=patiently)
    try:
        ctx.saga("transfer", saga).get()
    except SagaCompensated as undone:
        return f"undone: {undone.__cause__}"
    return "done"


def main(folder: Path) -> None:
    banks = folder / "banks"
    for account in OPENING:
        Path(banks, account).mkdir(parents=True, exist_ok=True)
    transfers = {
        "rent": Transfer(str(banks), "ann", "bob", 60),
        "gift": Transfer(str(banks), "ann", "cid", 10),
        "loan": Transfer(str(banks), "bob", "ann", 5_000),
    }
    # The ids are the transfers' own: run it again on the same folder, and no money moves a second time.
    with Tempolite(folder / "transfers.db", queues=[Queue("default", kind="thread")]) as tp:
        for id, each in transfers.items():
            outcome = tp.execute(id, transfer_money, each).get()
            print(f"{id}, {each.amount} € from {each.giver} to {each.taker}: {outcome}")
    for account in OPENING:
        booked = ", ".join(f"{each.amount:+} {each.text}" for each in bookings(str(banks), account))
        print(f"{account} has {balance(str(banks), account)} €: {booked or 'no bookings'}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary))
