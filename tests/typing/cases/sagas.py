"""Sagas: transactions, compensations, and the arguments of both."""

from typing import Any, assert_type

from tempolite import CompensationContext, Saga, SagaInfo, TransactionContext, WorkflowContext


def reserve(tx: TransactionContext, order: str, count: int) -> int:
    tx.store("reserved", count)
    return len(order)


def release(tx: CompensationContext, order: str, count: int) -> None:
    assert tx.load("reserved") == count
    assert order


async def charge(tx: TransactionContext) -> str:
    return tx.idempotency_key


def refund(tx: CompensationContext) -> None:
    assert tx.step_index == 1


class Parcel:
    def transaction(self, tx: TransactionContext) -> str:
        return tx.idempotency_key

    def compensation(self, tx: CompensationContext) -> None:
        assert tx.step_index == 2


class Label:
    def transaction(self, tx: TransactionContext, text: str) -> str:
        return tx.idempotency_key + text


def right(ctx: WorkflowContext) -> None:
    saga = Saga().add(reserve, release, args=("o-1", 2)).add(charge, refund, name="charge", timeout=5)
    assert_type(saga, Saga)
    saga.add(charge).add(reserve, args=("o-1", 2)).add(Parcel()).add(Label(), args=("fragile",))
    assert_type(ctx.saga("checkout", saga), SagaInfo[tuple[Any, ...]])
    ctx.compensate_saga("checkout").get()


def wrong(ctx: WorkflowContext) -> None:
    Saga().add(reserve)  # error
    Saga().add(reserve, release, args=("o-1",))  # error
    Saga().add(reserve, release, args=("o-1", "two"))  # error
    Saga().add(reserve, refund, args=("o-1", 2))  # error
    Saga().add(charge, args=(1,))  # error
    Saga().add("charge")  # error
    Saga().add(charge, retry=3)  # error
    Saga().add(Label(), args=(5,))  # error
    Saga().add(reserve("o-1", 2))  # error
    ctx.saga("checkout", reserve)  # error
