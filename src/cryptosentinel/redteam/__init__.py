"""Attack a copy in a sandbox, to measure whether the defences would have caught it."""
