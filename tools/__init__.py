"""For developers and operators: packet replay, order flows, benches, generators, checks."""
