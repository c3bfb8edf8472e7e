//! Tests over all crates. One binary without failpoints (`it`), one with (`failpoints`).
