"""How other processes reach the engine that owns a file: frames over a socket that lies beside it.

::

    a client's process                                     the owner's process

    Link         what callers use, from any thread
     │
    LinkActor    questions, who waits for them   ═══════   GatewayActor    clients, and what they ask
     │                                                      │
    FramedSocket ◀──── frames, as wire says ──────▶ FramedSocket
                      (socket_file: where they meet)

A client's actor lives on a dispatcher of its own, the gateway on that of all actors. Nothing here knows what
a question means: the engine says so, by the protocol ``Service`` in ``gateway``.
"""
