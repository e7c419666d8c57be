//! Lint findings, in and out: evaluated from templates, read from other tools, written as reports. Pure: no I/O.
