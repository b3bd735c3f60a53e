"""The desk: the reference trading team that the defences protect, on a paper market."""
