//! The `tidegate` program: arguments to [`tidegate::cli`].

fn main() {}
