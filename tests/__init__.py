"""The specification of Tempolite, as tests: one sentence a test."""
