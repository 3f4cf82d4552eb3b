"""A workflow function brought to life: its code, its context, and the turn that both make.

::

    context   what the function calls            infos        what those calls give
    runner    greenlet or coroutine, to the      execution    messages in, Turn out: records what the code
              next wait and no further                        wants, delivers what has come

The code only ever sees outcomes in the order in which they are recorded, each delivered when the code can't
go on without one. That is all of replay: after a restart the same outcomes come in the same order.
"""
