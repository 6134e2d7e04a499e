//! The middle and the ends of what was measured several times.

/// Of an uneven number of rounds.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(mut measured: Vec<f64>) -> Spread {
        measured.sort_by(f64::total_cmp);
        Spread { median: measured[measured.len() / 2], least: measured[0], most: measured[measured.len() - 1] }
    }

    /// Of one by the other, round by round: what moved both of them moves no ratio.
    pub(crate) fn of_ratios(upper: &[f64], lower: &[f64]) -> Spread {
        Spread::of(upper.iter().zip(lower).map(|(upper, lower)| upper / lower).collect())
    }
}
