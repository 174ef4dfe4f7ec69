//! The binary `neph`.

fn main() {}
