"""Exceptions taken apart, and put together again."""
