"""Other processes and the engine that owns a file: clients, the control socket, and taking over."""
