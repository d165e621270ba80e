//! The grammar of server-sent events, as far as a node's streams use it. Pure and bounded.

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event` field; empty for none.
    pub name: String,
    /// The last `id` field of the event, if any.
    pub id: Option<String>,
    /// The `data` lines, joined by line feeds.
    pub data: String,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// An event beyond what is accepted.
    #[error("an event has more than {0} bytes")]
    TooLong(usize),
    /// Not text.
    #[error("the stream is not UTF-8")]
    NotUtf8,
}

/// Turns bytes into events.
#[derive(Debug)]
pub struct Parser {
    /// What has arrived of the current line.
    line: Vec<u8>,
    /// What has arrived of the current event.
    event: Event,
    /// Whether the current event has any `data` line.
    has_data: bool,
    limit: usize,
}

impl Parser {
    /// Accepts events of up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { line: Vec::new(), event: Event::default(), has_data: false, limit }
    }

    /// Takes in bytes and appends the events they complete.
    pub fn push(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), SseError> {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.extend(&bytes[..end])?;
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            let line = std::str::from_utf8(line).map_err(|_| SseError::NotUtf8)?;
            self.line(line, events)?;
        }
        self.extend(bytes)
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        if self.line.len() + bytes.len() + self.event.data.len() > self.limit {
            return Err(SseError::TooLong(self.limit));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn line(&mut self, line: &str, events: &mut Vec<Event>) -> Result<(), SseError> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                events.push(event);
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            // A comment: the server shows that it is there.
            "" => {}
            "event" => self.event.name = value.to_owned(),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.has_data = true;
                if self.event.data.len() + value.len() > self.limit {
                    return Err(SseError::TooLong(self.limit));
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str, cuts: &[usize]) -> Result<Vec<Event>, SseError> {
        let mut parser = Parser::new(1000);
        let mut events = Vec::new();
        let mut from = 0;
        for cut in cuts.iter().map(|c| c % (text.len() + 1)).chain([text.len()]) {
            if cut > from {
                parser.push(&text.as_bytes()[from..cut], &mut events)?;
                from = cut;
            }
        }
        Ok(events)
    }

    const STREAM: &str = ": hello\n\nevent: slice\nid: 7\ndata: {\"a\":\ndata: 1}\n\n:\n\nevent:slice\r\ndata:x\r\n\r\n";

    fn expected() -> Vec<Event> {
        vec![
            Event { name: "slice".into(), id: Some("7".into()), data: "{\"a\":\n1}".into() },
            Event { name: "slice".into(), id: None, data: "x".into() },
        ]
    }

    proptest! {
        /// Events come out the same wherever the network cuts the stream.
        #[test]
        fn cuts_do_not_matter(mut cuts in proptest::collection::vec(0usize..200, 0..8)) {
            cuts.sort_unstable();
            prop_assert_eq!(all(STREAM, &cuts).unwrap(), expected());
        }

        #[test]
        fn garbage_never_panics_nor_grows(bytes: Vec<u8>) {
            let mut parser = Parser::new(64);
            let mut events = Vec::new();
            let _ = parser.push(&bytes, &mut events);
            prop_assert!(parser.line.len() <= 64 && parser.event.data.len() <= 64);
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = Parser::new(100);
        let mut events = Vec::new();
        let mut pushed = 0;
        let error = loop {
            match parser.push(&[b'x'; 10], &mut events) {
                Ok(()) => pushed += 10,
                Err(error) => break error,
            }
        };
        assert_eq!((error, pushed), (SseError::TooLong(100), 100));
    }
}
