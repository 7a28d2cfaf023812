//! Tables as bar charts in SVG. A bar is the median; a line in it shows the range of the
//! rounds.

use std::fmt::Write as _;

use crate::report::{Table, rate};

const WIDTH: f64 = 900.0;
/// The position at which the bars begin.
const BARS_AT: f64 = 330.0;
/// The length of the longest bar.
const BARS: f64 = 480.0;
const ROW: f64 = 24.0;
const TITLE: f64 = 40.0;

/// Returns a chart with a group of bars for each table.
pub(crate) fn svg(tables: &[Table]) -> String {
    let rows: usize = tables.iter().map(|table| table.rows.len()).sum();
    let height = tables.len() as f64 * TITLE + rows as f64 * ROW + ROW;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut y = 0.0;
    for table in tables {
        y += TITLE;
        let title = &table.title;
        let _ = writeln!(
            text,
            "<text x=\"8\" y=\"{y}\" font-weight=\"bold\">{title}: requests a second</text>"
        );
        y += 8.0;
        let greatest = table
            .rows
            .iter()
            .map(|(_, rounds)| rounds.spread().1)
            .fold(1.0, f64::max);
        for (name, rounds) in &table.rows {
            let x = |rate: f64| BARS_AT + BARS * rate / greatest;
            let (rate, (least, most)) = (rate(rounds), rounds.spread());
            let (text_y, line_y, end) = (y + 16.0, y + 11.0, x(most) + 8.0);
            let (width, low, high) = (x(rate) - BARS_AT, x(least), x(most));
            let _ = writeln!(
                text,
                "<text x=\"{0}\" y=\"{text_y}\" text-anchor=\"end\">{name}</text>\
                 <rect x=\"{BARS_AT}\" y=\"{y}\" width=\"{width:.1}\" height=\"20\" fill=\"#4477aa\"/>\
                 <path d=\"M{low:.1} {line_y}H{high:.1}\" stroke=\"black\"/>\
                 <text x=\"{end:.1}\" y=\"{text_y}\">{rate:.0}</text>",
                BARS_AT - 8.0
            );
            y += ROW;
        }
    }
    text + "</svg>\n"
}
