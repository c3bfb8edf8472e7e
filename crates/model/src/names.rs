//! Names as they are written and read: as files, beside others that are like them, and without what is nobody's
//! business. Not here: which names there are.

mod file_names;
mod nearest;
mod secrets;
mod shell;

pub use file_names::file_name_of;
pub use nearest::nearest;
pub use secrets::without_secrets;
pub use shell::shell_word;
