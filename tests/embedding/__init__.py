"""The engine as a guest: in a service, in a daemon, in a host that forks, logs and handles signals."""
