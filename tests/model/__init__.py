"""The engine against a model of what its users may expect: Hypothesis draws what they do."""
