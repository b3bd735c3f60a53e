"""Where other people's frameworks meet the defences; each adapter needs its framework, the package does not."""
