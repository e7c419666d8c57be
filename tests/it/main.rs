//! Every integration test is in this one binary, so that linking happens once.
