"""What makes workflow code give something else on replay is found, refused and ended."""
