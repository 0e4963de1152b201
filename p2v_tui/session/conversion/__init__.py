"""One conversion from beginning to end: prepared, started, followed, gone on with, stopped, its outcome proved."""
