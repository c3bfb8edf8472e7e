//! The two streams of the process and what they can show. Width and colour are values, so
//! that a test renders for any terminal.

use std::io::{self, IsTerminal, Write};

use comfy_table::Table;

use super::Messages;

/// What stdout can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Columns; `None` when it is no terminal.
    pub(crate) width: Option<usize>,
    /// Whether it takes colours.
    pub(crate) colour: bool,
}

impl Screen {
    /// A screen without colours.
    #[cfg(test)]
    pub(crate) fn plain(width: Option<usize>) -> Self {
        Self { width, colour: false }
    }

    /// Whether only the most important columns are shown. A file or a pipe is not narrow.
    pub(super) fn is_narrow(self) -> bool {
        self.width.is_some_and(|width| width < 100)
    }
}

/// stdout for results, stderr for everything else.
pub(crate) struct Terminal {
    stdout: Box<dyn Write + Send>,
    messages: Messages,
    screen: Screen,
}

impl Terminal {
    /// The streams of this process.
    pub(crate) fn of_process() -> Self {
        let stdout = io::stdout();
        let on_terminal = stdout.is_terminal();
        let screen = Screen {
            width: on_terminal.then(terminal_width),
            colour: on_terminal && colours_wanted(),
        };
        let says_on_terminal = io::stderr().is_terminal();
        let messages = Messages::of_process(
            says_on_terminal && colours_wanted(),
            says_on_terminal.then(stderr_width),
        );
        Self { stdout: Box::new(stdout), messages, screen }
    }

    /// Two buffers, and what was written to them so far.
    #[cfg(test)]
    pub(crate) fn captured(screen: Screen) -> (Self, tests::Captured) {
        let captured = tests::Captured::default();
        let messages = Messages::captured(Box::new(captured.stderr.clone()), screen.colour);
        (Self { stdout: Box::new(captured.stdout.clone()), messages, screen }, captured)
    }

    #[cfg(test)]
    pub(crate) fn replace_stdout(&mut self, stdout: Box<dyn Write + Send>) {
        self.stdout = stdout;
    }

    /// What stdout can show.
    pub(super) fn screen(&self) -> Screen {
        self.screen
    }

    /// The way to stderr.
    pub(crate) fn messages(&self) -> Messages {
        self.messages.clone()
    }

    /// Writes a part of the result, at once: messages may follow it on the same terminal.
    pub(super) fn print(&mut self, text: &str) -> io::Result<()> {
        self.stdout.write_all(text.as_bytes())?;
        self.stdout.flush()
    }
}

/// Columns of the terminal. Some say 0 when they do not know.
fn terminal_width() -> usize {
    Table::new().width().filter(|&width| width > 0).map_or(80, usize::from)
}

/// The same where only stderr leads to it.
fn stderr_width() -> usize {
    Table::new().use_stderr().width().filter(|&width| width > 0).map_or(80, usize::from)
}

/// Whether the environment leaves colours on: <https://no-color.org>.
fn colours_wanted() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What was written to a captured terminal.
    #[derive(Default)]
    pub(crate) struct Captured {
        pub(super) stdout: Buffer,
        pub(super) stderr: Buffer,
    }

    impl Captured {
        pub(crate) fn out(&self) -> String {
            self.stdout.text()
        }

        pub(crate) fn err(&self) -> String {
            self.stderr.text()
        }
    }

    #[derive(Clone, Default)]
    pub(super) struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Buffer {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
