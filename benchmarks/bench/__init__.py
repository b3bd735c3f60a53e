"""What the benchmark scripts share: how mixes are made, baselines, outcomes, the record of a run, the tables."""
