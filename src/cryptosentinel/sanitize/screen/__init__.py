"""Which rows of a large dataset are worth a closer look? Counting that no verdict rests on."""
