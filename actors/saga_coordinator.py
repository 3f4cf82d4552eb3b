"""Decides what each saga under way does next; the run's own actor records that, and does it.

The advice is no fact: it is asked for in the outbox of a turn that is durable, costs no commit, and if it is
lost with the engine the run asks again. What it rests on comes with the question, so one that comes too
late, after a cancel say, is known as such and asked for anew.
"""

from __future__ import annotations

from tempolite.actors.actor import Actor, receives, tell_if_alive
from tempolite.actors.messages import AdviseSaga, SagaAdvice
from tempolite.core.saga import decide


class SagaCoordinator(Actor):
    """Answers every run that has a saga between two of its steps."""

    @receives(AdviseSaga)
    def on_advise(self, message: AdviseSaga) -> None:
        """Tells the run what its saga does next; a run that has left asks again when it comes back."""
        advice = SagaAdvice(message.step, decide(message.state), message.state)
        tell_if_alive(message.sender, advice)
