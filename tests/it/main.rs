//! Integration tests, one binary: a module per command or subject.
