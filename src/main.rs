//! The program; its command line follows.

fn main() {}
