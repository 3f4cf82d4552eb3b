"""Real processes that are killed at any moment, and judged by what their activities left behind.

What lives here: a program that is killed and started again, the logs that it leaves, and a judge who knows
nothing but these logs and what should have happened. What never does: asking the engine's own history.

::

    program ──(activities)──▶ effect log ───────┐
       │                                        ├──▶ judge ──▶ problems
       └────(after ``execute``)──▶ ack log ─────┘
    killing: starts the program, looks at the logs, kills it, and sees its workers end
"""
