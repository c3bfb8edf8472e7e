//! Tests over all crates. One binary without failpoints (`it`), one with (`failpoints`), one on Lance itself
//! (`lance_surface_guards`).
