//! The Mann-Whitney rank test (H. B. Mann, D. R. Whitney, 1947), with ties and the normal approximation: whether one sample's
//! times tend to be longer than another's. Asks nothing of how times are distributed, and no outlier counts more than its rank.

/// Prints one row: medians, and what the test says.
pub(crate) fn report(tls: &str, compared: &str, one: &[f64], other: &[f64]) {
    let (first, second) = (median(one), median(other));
    let test = mann_whitney(one, other);
    println!(
        "| {tls} | {compared} | {first:.1}, {second:.1} | {:+.2} | {:.4} | {:+.2} | {:.3} |",
        first - second,
        test.superiority,
        test.z,
        test.p
    );
}

fn median(sample: &[f64]) -> f64 {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

struct Test {
    /// The chance that a value of the first sample is greater than one of the second, ties half.
    superiority: f64,
    z: f64,
    /// Of both sides.
    p: f64,
}

fn mann_whitney(one: &[f64], other: &[f64]) -> Test {
    let mut all: Vec<(f64, bool)> =
        one.iter().map(|time| (*time, true)).chain(other.iter().map(|time| (*time, false))).collect();
    all.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (n, m, total) = (one.len() as f64, other.len() as f64, all.len() as f64);
    let (mut rank_sum, mut ties, mut begin) = (0.0, 0.0, 0);
    while begin < all.len() {
        let end =
            all[begin..].iter().position(|(time, _)| *time > all[begin].0).map_or(all.len(), |length| begin + length);
        let mean_rank = (begin + end + 1) as f64 / 2.0;
        rank_sum += mean_rank * all[begin..end].iter().filter(|(_, first)| *first).count() as f64;
        let tied = (end - begin) as f64;
        ties += tied * tied * tied - tied;
        begin = end;
    }
    let u = rank_sum - n * (n + 1.0) / 2.0;
    let variance = n * m / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    let z = (u - n * m / 2.0) / variance.sqrt();
    Test { superiority: u / (n * m), z, p: both_tails(z) }
}

/// The normal distribution's two tails beyond `z`, by the erfc of Abramowitz and Stegun 7.1.26 (error below 1.5e-7).
fn both_tails(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    let sum = polynomial.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    sum * (-x * x).exp()
}
