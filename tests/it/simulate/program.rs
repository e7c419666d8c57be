//! The program: what it prints, what it refuses, and that it touches nothing.
