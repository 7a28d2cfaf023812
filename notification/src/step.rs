//! Whether one status may follow another.

use crate::Status::{self, *};

/// A step from one status of a task to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The step is documented, or one of the statuses is unknown.
    Usual,
    /// The step is possible only through another status: a change in between was
    /// not seen.
    Gap,
    /// The task had failed, at least in part, and runs again: a retry.
    Reopened,
    /// The step is not possible according to the documentation.
    Unexpected,
}

impl Step {
    /// Returns `gap`, `reopened` or `unexpected_step`, or `None` for a usual
    /// step.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Usual => None,
            Self::Gap => Some("gap"),
            Self::Reopened => Some("reopened"),
            Self::Unexpected => Some("unexpected_step"),
        }
    }
}

/// Returns the kind of the step from one status of a task to the next in order
/// of occurrence. `previous` is `None` if `next` is the first known status.
///
/// ```text
/// [Initializing] -> [Waitting] -> Processing -> Success | PartialSuccess | Fail
/// Initializing | Waitting | Processing -> [Stopping] -> Stopped
/// PartialSuccess | Fail -> [Initializing] -> [Waitting] -> Processing     (a retry)
/// ```
///
/// A status in brackets may be missing: the platform does not document that it
/// pushes `Initializing` and `Stopping`, and `Waitting` may be too short to be
/// pushed. These steps follow from the platform's batch-task API: it refuses to
/// stop a task that has ended or is `Stopping`, and it accepts a retry only from
/// `PartialSuccess` and `Fail`.
pub fn step(previous: Option<Status>, next: Status) -> Step {
    let Some(previous) = previous else {
        return match next {
            Initializing | Waitting | Processing | Unknown => Step::Usual,
            Stopping | PartialSuccess | Fail | Success | Stopped => Step::Gap,
        };
    };
    match (previous, next) {
        // An unknown word; or the same status with another text or time.
        (Unknown, _) | (_, Unknown) => Step::Usual,
        (before, after) if before == after => Step::Usual,

        (Initializing, Waitting | Processing | Stopping | Stopped) => Step::Usual,
        (Waitting, Processing | Stopping | Stopped) => Step::Usual,
        (Initializing | Waitting, PartialSuccess | Fail | Success) => Step::Gap,

        (Processing, Stopping | Stopped | PartialSuccess | Fail | Success) => Step::Usual,
        (Stopping, Stopped) => Step::Usual,

        (PartialSuccess | Fail, Initializing | Waitting | Processing) => Step::Reopened,
        (PartialSuccess | Fail, _) => Step::Gap,

        // Backwards, or after a stop or an end.
        (Initializing | Waitting | Processing | Stopping | Success | Stopped, _) => {
            Step::Unexpected
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the order of the columns below.
    const ALL: [Status; 9] = [
        Initializing,
        Waitting,
        Processing,
        Stopping,
        PartialSuccess,
        Fail,
        Success,
        Stopped,
        Unknown,
    ];

    /// From (rows) and to (columns): `.` usual, `G` gap, `R` reopened,
    /// `U` unexpected.
    #[rustfmt::skip]
    const TABLE: [(Option<Status>, &str); 10] = [
        //                     I W P S p F + x ?
        (None,                "...GGGGG."),
        (Some(Initializing),  "....GGG.."),
        (Some(Waitting),      "U...GGG.."),
        (Some(Processing),    "UU......."),
        (Some(Stopping),      "UUU.UUU.."),
        (Some(PartialSuccess),"RRRG.GGG."),
        (Some(Fail),          "RRRGG.GG."),
        (Some(Success),       "UUUUUU.U."),
        (Some(Stopped),       "UUUUUUU.."),
        (Some(Unknown),       "........."),
    ];

    #[test]
    fn every_step_is_as_in_the_table() {
        for (previous, row) in TABLE {
            assert_eq!(row.len(), ALL.len());
            for (next, letter) in ALL.into_iter().zip(row.chars()) {
                let (expected, name) = match letter {
                    'G' => (Step::Gap, Some("gap")),
                    'R' => (Step::Reopened, Some("reopened")),
                    'U' => (Step::Unexpected, Some("unexpected_step")),
                    _ => (Step::Usual, None),
                };
                let found = step(previous, next);
                assert_eq!(found, expected, "{previous:?} -> {next:?}");
                assert_eq!(found.name(), name);
            }
        }
    }
}
