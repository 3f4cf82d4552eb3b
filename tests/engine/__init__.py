"""The engine as a user meets it: what the contract says, on a file and in memory."""
