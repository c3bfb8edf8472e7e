//! Tests that stop a run at a failpoint. In a binary of their own: failpoints are global.
