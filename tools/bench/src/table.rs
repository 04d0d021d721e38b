// SPDX-License-Identifier: GPL-2.0

//! The table as text.

use crate::cell;
use crate::checks::Check;
use crate::result::Results;

/// Formats 1234567 as 1,234,567.
pub(crate) fn number(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::new();

    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if n < 0 {
        text.insert(0, '-');
    }
    text
}

fn cells(results: &Results) -> Vec<Vec<String>> {
    let mut lines = vec![std::iter::once(String::new())
        .chain(cell::ALL.iter().map(|cell| cell.name.to_owned()))
        .collect()];

    for row in &results.rows {
        let figures = row.figures.iter().map(|figure| match figure.spread {
            0 => number(figure.median as i64),
            spread => format!(
                "{} ±{}",
                number(figure.median as i64),
                number(spread as i64)
            ),
        });
        lines.push(std::iter::once(row.name.clone()).chain(figures).collect());
    }
    lines
}

fn judgement(check: &Check) -> String {
    let verdict = if check.met() { "met" } else { "**over**" };
    format!(
        "{} | {} | {verdict}",
        number(check.is),
        number(check.at_most)
    )
}

/// Formats all results as Markdown.
pub(crate) fn markdown(results: &Results, checks: &[Check]) -> String {
    let mut text = format!(
        "Instructions per system call, Linux {}, the middle of {} repetitions; ± is how far those \
         are \
         apart, nothing where they are the same.\n\n",
        results.kernel, results.rounds
    );

    for (at, line) in cells(results).iter().enumerate() {
        text += &format!("| {} |\n", line.join(" | "));
        if at == 0 {
            text += &format!("|{}\n", " --- |".repeat(line.len()));
        }
    }
    text += &format!(
        "\nOne audit record of the same text from C: {} instructions.\n\n",
        number(results.yardstick.median as i64)
    );
    text += &format!(
        "One session: {} bytes of kernel memory.\n\n",
        number(results.session_bytes as i64)
    );
    text += "| target | is | at most | |\n| --- | --- | --- | --- |\n";
    for check in checks {
        text += &format!("| {} | {} |\n", check.what, judgement(check));
    }
    for growth in &results.growth {
        text += &format!("\n{}, by {}: ", growth.what, growth.with);
        let points: Vec<_> = growth
            .points
            .iter()
            .map(|(x, y)| format!("{} at {}", number(*y as i64), number(*x as i64)))
            .collect();
        text += &points.join(", ");
        text += "\n";
    }
    text
}

/// Formats the table alone as reStructuredText.
pub(crate) fn rst(results: &Results) -> String {
    grid(&cells(results))
}

/// Formats lines of a table, the first of which is its head, as reStructuredText.
pub(crate) fn grid(lines: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let rule = |with: &str| {
        let parts: Vec<_> = widths.iter().map(|&width| with.repeat(width + 2)).collect();
        format!("+{}+\n", parts.join("+"))
    };
    let mut text = rule("-");

    for (at, line) in lines.iter().enumerate() {
        let parts: Vec<_> = line
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!(" {cell:width$} "))
            .collect();
        text += &format!("|{}|\n", parts.join("|"));
        text += &rule(if at == 0 { "=" } else { "-" });
    }
    text
}
