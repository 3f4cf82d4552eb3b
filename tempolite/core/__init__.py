"""What is true, decided without doing anything: no I/O, no clock, no thread, no randomness.

Time, random draws and ids arrive as values, so every function here can be called a million times in a
test and gives the same answer each time.

::

    identifiers   names of things        status    what a run can be, and what may follow
    events        facts, past tense      commands  wishes, imperative: what to do once a turn is durable
    history       events -> RunState     retry     when to try again
    failure       an error as data       queues    a queue's settings
"""
