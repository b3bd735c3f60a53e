"""Is an association natural? Each adjudicator leaves a Finding and moves the score."""
