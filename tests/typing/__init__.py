"""What type checkers say to users."""
