"""The checks before a conversion: survey the server, parse its answers to facts, judge these with pure checks."""
