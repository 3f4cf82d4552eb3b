"""Tests of the actors: seeded dispatchers and virtual time in one thread, or real processes where needed."""
