"""One conversion from beginning to end: prepare, start, follow, continue, stop, prove the outcome."""
