//! Which rows there have to be: what was begun, what was acknowledged, and what a reading may show
//! therefore. No I/O; time is counted in steps.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

/// A branch of the graph, or the database, and one of its tables.
pub(super) type Place = (String, String);
/// Note by id.
pub(super) type Rows = BTreeMap<String, String>;

/// All writes there were.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    now: u64,
    rows: BTreeMap<Place, BTreeMap<String, Vec<Event>>>,
    writes: Vec<Write>,
}

/// What a write makes of a row.
#[derive(Debug)]
struct Event {
    write: usize,
    /// None when the row goes.
    note: Option<String>,
}

/// Rows that are written together, or not at all.
#[derive(Debug)]
struct Write {
    begun: u64,
    /// None as long as nobody knows whether it happened.
    done: Option<u64>,
    rows: Vec<(Place, String)>,
}

/// A write under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket(usize);

/// What somebody read in places of one snapshot, at some time between two.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) begun: u64,
    pub(super) ended: u64,
    /// Each row, also those that are there twice.
    pub(super) rows: BTreeMap<Place, Vec<(String, String)>>,
}

impl Ledger {
    /// The next moment.
    pub(super) fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    /// Notes what a write is about to do: of each row, what it then says, or that it is gone.
    pub(super) fn begin(&mut self, rows: Vec<(Place, String, Option<String>)>) -> Ticket {
        let (write, begun) = (self.writes.len(), self.tick());
        let mut names = Vec::new();
        for (place, id, note) in rows {
            names.push((place.clone(), id.clone()));
            let events = self.rows.entry(place).or_default().entry(id).or_default();
            events.push(Event { write, note });
        }
        self.writes.push(Write { begun, done: None, rows: names });
        Ticket(write)
    }

    /// Notes that a write was acknowledged.
    pub(super) fn acknowledge(&mut self, Ticket(write): Ticket) {
        self.writes[write].done = Some(self.tick());
    }

    /// The rows of a place about which there is no doubt.
    pub(super) fn certain(&self, place: &Place) -> Rows {
        let rows = self.rows.get(place).into_iter().flatten();
        let certain = rows.filter_map(|(id, events)| {
            let last = events.last()?;
            self.writes[last.write].done?;
            Some((id.clone(), last.note.clone()?))
        });
        certain.collect()
    }

    /// Whether somebody ever wrote that row there, or tried to.
    pub(super) fn knows(&self, place: &Place, id: &str) -> bool {
        self.rows.get(place).is_some_and(|rows| rows.contains_key(id))
    }

    /// Forgets the rows of a branch that is gone.
    pub(super) fn forget(&mut self, branch: &str) {
        self.rows.retain(|(other, _), _| other != branch);
    }

    /// Takes what was read on a branch for what it has.
    pub(super) fn adopt(&mut self, reading: &Reading) {
        for (place, rows) in &reading.rows {
            let rows =
                rows.iter().map(|(id, note)| (place.clone(), id.clone(), Some(note.clone())));
            let ticket = self.begin(rows.collect());
            self.acknowledge(ticket);
        }
    }

    /// Whether what was read is what may be read: of each row what it was when the reading began, or what
    /// somebody made of it since; of each write all or nothing. What was seen once is there for good.
    pub(super) fn check(&mut self, reading: &Reading) -> Result<()> {
        let mut found: BTreeMap<&Place, BTreeMap<&str, &str>> = BTreeMap::new();
        for (place, rows) in &reading.rows {
            let seen = found.entry(place).or_default();
            for (id, note) in rows {
                ensure!(seen.insert(id, note).is_none(), "{place:?}: {id} is there twice");
            }
            let none = BTreeMap::new();
            let known = self.rows.get(place).unwrap_or(&none);
            for (id, events) in known {
                let note = seen.get(id.as_str()).copied();
                ensure!(
                    self.may_be(events, note, reading),
                    "{place:?}: {id} is {note:?} between {} and {}, after {}",
                    reading.begun,
                    reading.ended,
                    self.tell(events)
                );
            }
            let strange: Vec<_> = seen.keys().filter(|id| !known.contains_key(**id)).collect();
            ensure!(strange.is_empty(), "{place:?}: nobody wrote {strange:?}");
        }
        let seen = self.whole(reading, &found)?;
        let now = self.tick();
        for write in seen {
            self.writes[write].done = Some(now);
        }
        Ok(())
    }

    /// Whether a row with these events may be so.
    fn may_be(&self, events: &[Event], note: Option<&str>, reading: &Reading) -> bool {
        let write = |event: &Event| &self.writes[event.write];
        let settled = |event: &Event| write(event).done.is_some_and(|done| done <= reading.begun);
        let last = events.iter().rposition(settled);
        let is_at_first = last.is_none() && note.is_none();
        let later = &events[last.unwrap_or(0)..];
        let begun = |event: &&Event| write(event).begun <= reading.ended;
        is_at_first || later.iter().filter(begun).any(|event| event.note.as_deref() == note)
    }

    /// Checks that each write about which there is doubt is there as a whole or not at all. Returns
    /// those that are there.
    fn whole(
        &self,
        reading: &Reading,
        found: &BTreeMap<&Place, BTreeMap<&str, &str>>,
    ) -> Result<Vec<usize>> {
        let mut seen = Vec::new();
        for (number, write) in self.writes.iter().enumerate() {
            let is_open = write.done.is_none_or(|done| done > reading.begun);
            if !is_open || write.begun > reading.ended {
                continue;
            }
            let mut is_there = Vec::new();
            for (place, id) in &write.rows {
                let Some(rows) = found.get(place) else { continue };
                // Not of a branch that was deleted, and made again under the same name.
                let events = self.rows.get(place).and_then(|rows| rows.get(id));
                let Some([earlier @ .., last]) = events.map(Vec::as_slice) else { continue };
                // What somebody else made of it since says nothing, and neither does one that may not have been
                // there yet: it looks like one that was deleted.
                let is_settled = |event: &Event| {
                    self.writes[event.write].done.is_some_and(|done| done <= reading.begun)
                };
                let Some(event) = Some(last).filter(|event| event.write == number) else {
                    continue;
                };
                if !earlier.iter().all(is_settled) {
                    continue;
                }
                is_there.push(rows.get(id.as_str()).copied() == event.note.as_deref());
            }
            let count = is_there.iter().filter(|is| **is).count();
            ensure!(
                count == 0 || count == is_there.len(),
                "{count} of the {} rows of a write are there: {write:?}",
                is_there.len()
            );
            if count > 0 && write.done.is_none() {
                seen.push(number);
            }
        }
        Ok(seen)
    }

    fn tell(&self, events: &[Event]) -> String {
        let told = events.iter().map(|event| {
            let write = &self.writes[event.write];
            format!("{:?} begun {} done {:?}", event.note, write.begun, write.done)
        });
        told.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        ("main".to_owned(), "a".to_owned())
    }

    fn write(ledger: &mut Ledger, ids: &[&str], note: Option<&str>) -> Ticket {
        let rows = ids.iter().map(|id| (place(), (*id).to_owned(), note.map(ToOwned::to_owned)));
        ledger.begin(rows.collect())
    }

    fn read(ledger: &mut Ledger, rows: &[(&str, &str)]) -> Reading {
        let rows = rows.iter().map(|(id, note)| ((*id).to_owned(), (*note).to_owned())).collect();
        let (begun, ended) = (ledger.tick(), ledger.tick());
        Reading { begun, ended, rows: BTreeMap::from([(place(), rows)]) }
    }

    fn says(ledger: &mut Ledger, rows: &[(&str, &str)]) -> String {
        let reading = read(ledger, rows);
        ledger.check(&reading).map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn what_was_acknowledged_is_there_once_and_as_it_was_left() {
        let mut ledger = Ledger::default();
        let first = write(&mut ledger, &["1", "2"], Some("x"));
        ledger.acknowledge(first);
        assert_eq!(says(&mut ledger, &[("1", "x"), ("2", "x")]), "fine");
        assert!(says(&mut ledger, &[("1", "x")]).contains("2 is None"));
        assert!(says(&mut ledger, &[("1", "y"), ("2", "x")]).contains("1 is Some"));
        assert!(says(&mut ledger, &[("1", "x"), ("1", "x"), ("2", "x")]).contains("twice"));
        assert!(says(&mut ledger, &[("1", "x"), ("2", "x"), ("3", "x")]).contains("nobody"));
        let gone = write(&mut ledger, &["1"], None);
        ledger.acknowledge(gone);
        assert_eq!(says(&mut ledger, &[("2", "x")]), "fine");
        assert!(says(&mut ledger, &[("1", "x"), ("2", "x")]).contains("1 is Some"));
    }

    #[test]
    fn what_is_in_doubt_is_there_as_a_whole_or_not_and_stays_once_it_was_seen() {
        let mut ledger = Ledger::default();
        write(&mut ledger, &["1", "2"], Some("x"));
        assert_eq!(says(&mut ledger, &[]), "fine");
        assert!(says(&mut ledger, &[("1", "x")]).contains("1 of the 2 rows"));
        assert_eq!(ledger.certain(&place()), Rows::new());
        assert_eq!(says(&mut ledger, &[("1", "x"), ("2", "x")]), "fine");
        assert!(says(&mut ledger, &[]).contains("1 is None"));
        assert_eq!(ledger.certain(&place()).len(), 2);
    }

    #[test]
    fn a_row_that_was_not_there_yet_is_not_taken_for_a_deleted_one() {
        let mut ledger = Ledger::default();
        let first = write(&mut ledger, &["1"], Some("x"));
        ledger.acknowledge(first);
        let begun = ledger.tick();
        let second = write(&mut ledger, &["2"], Some("x"));
        ledger.acknowledge(second);
        let gone = write(&mut ledger, &["1", "2"], None);
        ledger.acknowledge(gone);
        // Opened before the second write was there, and read to its end after all of them.
        let reading = Reading { begun, ..read(&mut ledger, &[("1", "x")]) };
        assert!(ledger.check(&reading).is_ok());
        assert!(says(&mut ledger, &[("1", "x")]).contains("1 is Some"));
    }

    #[test]
    fn a_reading_shows_what_was_or_what_became_meanwhile() {
        let mut ledger = Ledger::default();
        let first = write(&mut ledger, &["1"], Some("x"));
        ledger.acknowledge(first);
        let begun = ledger.tick();
        let second = write(&mut ledger, &["1"], Some("y"));
        ledger.acknowledge(second);
        for (note, is_fine) in [("x", true), ("y", true), ("z", false)] {
            let reading = Reading { begun, ..read(&mut ledger, &[("1", note)]) };
            assert_eq!(ledger.check(&reading).is_ok(), is_fine, "{note}");
        }
        assert!(says(&mut ledger, &[("1", "x")]).contains("1 is Some"));
    }
}
