//! Lines on stderr that do not tear the progress bar: messages, logs and progress lines all
//! pass through here. A stderr that cannot be written to is ignored: there is nowhere left
//! to say so.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressDrawTarget};

use super::style::{Tone, paint, visible, wrapped};

/// The way to stderr. Clones share it.
#[derive(Clone)]
pub(crate) struct Messages {
    sink: Arc<Mutex<Box<dyn Write + Send>>>,
    bars: MultiProgress,
    colour: bool,
    /// Columns; `None` when it is no terminal.
    width: Option<usize>,
}

impl Messages {
    /// stderr of this process.
    pub(super) fn of_process(colour: bool, width: Option<usize>) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { sink: Arc::new(Mutex::new(Box::new(io::stderr()))), bars, colour, width }
    }

    /// Some other place; bars are not drawn.
    #[cfg(test)]
    pub(super) fn captured(sink: Box<dyn Write + Send>, colour: bool) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        Self { sink: Arc::new(Mutex::new(sink)), bars, colour, width: None }
    }

    /// Says something.
    pub(crate) fn line(&self, text: &str) {
        self.raw(&format!("{}\n", visible(text)));
    }

    /// Says something to people, in lines that fit a terminal.
    pub(crate) fn sentence(&self, text: &str) {
        self.raw(&format!("{}\n", wrapped(&visible(text), 0, self.width)));
    }

    /// Says what went wrong.
    pub(crate) fn error(&self, text: &str) {
        self.labelled("error", Tone::Bad, text);
    }

    /// Says what to know that is no error.
    pub(crate) fn warning(&self, text: &str) {
        self.labelled("warning", Tone::Warn, text);
    }

    /// Says what a person can do.
    pub(crate) fn hint(&self, text: &str) {
        self.labelled("hint", Tone::Good, text);
    }

    /// Where bars are drawn.
    pub(super) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Whether stderr takes colours.
    pub(super) fn colour(&self) -> bool {
        self.colour
    }

    /// Writes text as it is, in one piece.
    pub(super) fn raw(&self, text: &str) {
        self.bars.suspend(|| {
            let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = sink.write_all(text.as_bytes()).and_then(|()| sink.flush());
        });
    }

    fn labelled(&self, label: &str, tone: Tone, text: &str) {
        let text = wrapped(&visible(text), label.len() + 2, self.width);
        self.raw(&format!("{}: {text}\n", paint(label, tone, self.colour)));
    }
}

/// For logs, which come as whole lines.
impl Write for Messages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.raw(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
