//! Development tasks: the house checks, data refresh, corpus generation.

fn main() {}
