//! Turns on a link that several ends share, first come, first served.
//!
//! zenoh sends the messages of a priority in the order in which they get hold of its queue, and that is no order: an end that
//! sends large frames without a pause gets hold of it again before others wake up, and starves them.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::sync::{lock, wait};

/// One line of waiting ends for each of zenoh's priorities: a higher one overtakes the lower ones.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    lines: [Line; PRIORITIES],
    /// Only where there is one link: with several, ends that wait for different links need not wait for each other.
    one_link: bool,
}

const PRIORITIES: usize = 8;

#[derive(Debug, Default)]
struct Line {
    state: Mutex<Tickets>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Tickets {
    next: u64,
    serving: u64,
    /// Given up while waiting.
    gone: Vec<u64>,
}

/// Holds the line until dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    line: Option<&'a Line>,
}

impl Turns {
    pub(crate) fn new(one_link: bool) -> Self {
        Self { lines: Default::default(), one_link }
    }

    /// Waits until all that came before have sent, at most `patience`; then goes ahead all the same.
    pub(crate) fn take(&self, priority: usize, patience: Duration) -> Turn<'_> {
        let Some(line) = self.lines.get(priority).filter(|_| self.one_link) else { return Turn { line: None } };
        let deadline = Instant::now() + patience;
        let mut state = lock(&line.state);
        let mine = state.next;
        state.next += 1;
        while state.serving != mine {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.gone.push(mine);
                return Turn { line: None };
            }
            state = wait(&line.moved, state, left);
        }
        Turn { line: Some(line) }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Some(line) = self.line else { return };
        let mut state = lock(&line.state);
        state.serving += 1;
        while let Some(at) = state.gone.iter().position(|gone| *gone == state.serving) {
            state.gone.swap_remove(at);
            state.serving += 1;
        }
        drop(state);
        line.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn first_come_first_served() {
        let turns = Arc::new(Turns::new(true));
        let order = Arc::new(Mutex::new(vec![]));
        let first = turns.take(3, LONG);
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (turns, order) = (turns.clone(), order.clone());
                let thread = std::thread::spawn(move || {
                    let _turn = turns.take(3, LONG);
                    lock(&order).push(number);
                });
                while lock(&turns_line(&first).state).next < number + 2 {
                    std::thread::yield_now();
                }
                thread
            })
            .collect();
        // Another priority waits for none of them.
        drop(turns.take(4, LONG));
        drop(first);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*lock(&order), [0, 1, 2, 3]);
    }

    fn turns_line<'a>(turn: &Turn<'a>) -> &'a Line {
        turn.line.unwrap()
    }

    #[test]
    fn who_waited_too_long_goes_ahead_and_holds_up_nobody() {
        let turns = Turns::new(true);
        let first = turns.take(0, LONG);
        assert!(turns.take(0, Duration::ZERO).line.is_none());
        drop(first);
        assert!(turns.take(0, LONG).line.is_some());
    }

    #[test]
    fn with_several_links_nobody_waits() {
        let turns = Turns::new(false);
        let _first = turns.take(0, LONG);
        let _second = turns.take(0, LONG);
    }
}
