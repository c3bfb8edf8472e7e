//! Branches of a graph: which names may be given, and what deleting one needs, loses and
//! takes away.
//!
//! A deletion is a cleanup against the authorities as they will be without the branch, of
//! which only what bears the branch's name is carried out: so nothing goes that another
//! branch, a fork or a retained commit reads. Not here: looking, creating, deleting
//! (`manifest`, `reconciler`, `keeper`).

mod delete;
mod name;
#[cfg(test)]
mod tests;

pub use delete::{DeletePlan, Dependant, dependants, only_it, plan_delete, retire};
pub use name::{NameError, check_beside, check_name};
