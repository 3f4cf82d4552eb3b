"""Tests of the core: values in, values out; no mock, no fixture, no sleep."""
