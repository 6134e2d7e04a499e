//! Bars as SVG, on a ground of their own so that they read alike on light pages and dark ones.
//! Knows labels and numbers, nothing of what they mean.

use std::fmt::Write;

/// A chart of bars, one group of them for each row.
pub(crate) struct Bars {
    pub(crate) title: String,
    /// What one unit of the axis is.
    pub(crate) unit: &'static str,
    /// Whether equal steps on the axis are equal factors.
    pub(crate) factors: bool,
    /// Their colours' meaning; as many as a row has bars.
    pub(crate) series: Vec<String>,
    pub(crate) rows: Vec<(String, Vec<Option<f64>>)>,
    /// A line through all rows.
    pub(crate) mark: Option<(String, f64)>,
}

const WIDTH: f64 = 780.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 84.0;
const BAR: f64 = 13.0;
const GAP: f64 = 12.0;
const COLOURS: [&str; 3] = ["#0b5cad", "#e08a1e", "#5f9e6e"];
const INK: &str = "#1f2328";
const GROUND: &str = "#ffffff";
const PALE_INK: &str = "#57606a";
const FAINT: &str = "#d5d9de";
const MARK: &str = "#b3261e";

impl Bars {
    pub(crate) fn svg(&self) -> String {
        let heights: Vec<f64> =
            self.rows.iter().map(|(_, bars)| bars.iter().flatten().count() as f64 * BAR + GAP).collect();
        let bottom = TOP + heights.iter().sum::<f64>();
        let height = bottom + 40.0;
        let mut svg = String::new();
        let title = escaped(&self.title);
        let _ = write!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" font-family="system-ui, sans-serif" font-size="12" fill="{INK}"><title>{title}</title><rect width="{WIDTH}" height="{height}" rx="8" fill="{GROUND}" stroke="{FAINT}"/>"#,
        );
        let _ = writeln!(svg, r#"<text x="20" y="30" font-size="16" font-weight="600">{title}</text>"#);
        self.legend(&mut svg);
        let axis = self.axis();
        for tick in &axis.ticks {
            let x = axis.place(*tick);
            let _ = writeln!(
                svg,
                r#"<path d="M{x:.1} {TOP}V{bottom:.1}" stroke="{FAINT}"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" fill="{PALE_INK}">{}</text>"#,
                bottom + 16.0,
                short(*tick)
            );
        }
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle" fill="{PALE_INK}">{}</text>"#,
            (LEFT + WIDTH - RIGHT) / 2.0,
            bottom + 32.0,
            escaped(self.unit)
        );
        let (mut y, mut values) = (TOP + GAP / 2.0, String::new());
        for ((label, bars), height) in self.rows.iter().zip(&heights) {
            row(&mut svg, &mut values, &axis, y, label, bars);
            y += height;
        }
        if let Some((label, value)) = &self.mark {
            let x = axis.place(*value);
            let _ = writeln!(
                svg,
                r#"<path d="M{x:.1} {:.1}V{bottom:.1}" stroke="{MARK}" stroke-width="1.5" stroke-dasharray="5 3"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" fill="{MARK}">{}</text>"#,
                TOP - 4.0,
                TOP - 9.0,
                escaped(label)
            );
        }
        // Above the lines, and with a rim that keeps them off.
        svg += &values;
        svg.push_str("</svg>\n");
        svg
    }

    fn legend(&self, svg: &mut String) {
        let mut x = 20.0;
        for (series, colour) in self.series.iter().zip(COLOURS) {
            let _ = writeln!(
                svg,
                r#"<rect x="{x:.1}" y="43" width="11" height="11" fill="{colour}"/><text x="{:.1}" y="53">{}</text>"#,
                x + 16.0,
                escaped(series)
            );
            x += 40.0 + series.chars().count() as f64 * 6.6;
        }
    }

    fn axis(&self) -> Axis {
        let bars = self.rows.iter().flat_map(|(_, bars)| bars.iter().flatten().copied());
        let values: Vec<f64> = bars.chain(self.mark.iter().map(|(_, value)| *value)).collect();
        let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        if !self.factors {
            let step = even_step(most / 6.0);
            let steps = (most / step).ceil();
            let ticks = std::iter::successors(Some(0.0), |tick| Some(tick + 1.0)).take_while(|tick| *tick <= steps);
            return Axis {
                factors: false,
                least: 0.0,
                most: steps * step,
                ticks: ticks.map(|tick| tick * step).collect(),
            };
        }
        let least = values.iter().copied().fold(f64::MAX, f64::min);
        // The least bar gets a length too.
        let [first, last] = [(least.log10() - 0.3).floor(), most.log10().ceil()];
        let powers = std::iter::successors(Some(first), |power| Some(power + 1.0)).take_while(|power| *power <= last);
        Axis {
            factors: true,
            least: first,
            most: last.max(first + 1.0),
            ticks: powers.map(|power| 10f64.powf(power)).collect(),
        }
    }
}

fn row(svg: &mut String, values: &mut String, axis: &Axis, mut y: f64, label: &str, bars: &[Option<f64>]) {
    let middle = y + bars.iter().flatten().count() as f64 * BAR / 2.0 + 4.0;
    let _ =
        writeln!(svg, r#"<text x="{:.1}" y="{middle:.1}" text-anchor="end">{}</text>"#, LEFT - 10.0, escaped(label));
    for (bar, colour) in bars.iter().zip(COLOURS).filter_map(|(bar, colour)| Some(((*bar)?, colour))) {
        let end = axis.place(bar).max(LEFT + 1.0);
        let _ = writeln!(
            svg,
            r#"<rect x="{LEFT}" y="{y:.1}" width="{:.1}" height="{:.1}" fill="{colour}"/>"#,
            end - LEFT,
            BAR - 2.0
        );
        let _ = writeln!(
            values,
            r#"<text x="{:.1}" y="{:.1}" font-size="11" paint-order="stroke" stroke="{GROUND}" stroke-width="3">{}</text>"#,
            end + 5.0,
            y + BAR - 3.5,
            short(bar)
        );
        y += BAR;
    }
}

struct Axis {
    factors: bool,
    /// Values, or their powers of ten.
    least: f64,
    most: f64,
    ticks: Vec<f64>,
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let value = if self.factors { value.log10() } else { value };
        LEFT + (value - self.least) / (self.most - self.least) * (WIDTH - LEFT - RIGHT)
    }
}

/// 1, 2 or 5 times a power of ten, and no less than `step`.
fn even_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|even| *even >= step).unwrap_or(step)
}

/// About three digits, and thousands apart.
pub(crate) fn short(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        ..1.0 => trimmed(&format!("{value:.3}")),
        ..10.0 => trimmed(&format!("{value:.2}")),
        ..100.0 => trimmed(&format!("{value:.1}")),
        _ => grouped(&format!("{value:.0}")),
    }
}

fn trimmed(digits: &str) -> String {
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(crate) fn grouped(digits: &str) -> String {
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
